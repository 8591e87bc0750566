import ALDCore
import Foundation

/// What `ald spool status` prints.
struct SpoolReport {
    let directory: String
    let status: SpoolStatus
    let isOwnerAlive: Bool
    let now: Timestamp

    var concerns: [SpoolStatus.Concern] { status.concerns(now: now, isOwnerAlive: isOwnerAlive) }

    func text() -> String {
        var rows: [(String, String)] = [
            ("spool", directory),
            ("level", status.level.rawValue),
            (
                "waiting",
                "\(TextTable.counted(status.waitingRecords, "record")) in "
                    + "\(TextTable.counted(status.waitingBatches, "batch", plural: "batches")), \(bytes(Int64(status.waitingBytes)))"
            ),
            ("oldest", status.oldestAcceptedAt.map { ago(Timestamp(microseconds: $0)) } ?? "nothing waits"),
            (
                "files",
                "\(TextTable.counted(status.segments, "segment")), \(status.retainedSegments) only retained, "
                    + "\(bytes(status.usedBytes)) used, \(bytes(status.availableBytes)) left"
            ),
            ("autonomy", autonomy),
            ("owner", owner),
            ("written", ago(Timestamp(microseconds: status.writtenAt))),
        ]
        let losses = status.losses.isEmpty ? ["none"] : status.losses.map(Self.loss)
        for (index, loss) in losses.enumerated() { rows.append((index == 0 ? "losses" : "", loss)) }
        for (index, concern) in concerns.enumerated() { rows.append((index == 0 ? "ATTENTION" : "", "\(concern)")) }
        return TextTable.labelled(rows)
    }

    private var owner: String {
        let process = "process \(status.processIdentifier)"
        if status.isClosed { return process + ", has closed the spool" }
        return process + (isOwnerAlive ? ", running" : ", GONE")
    }

    private var autonomy: String {
        guard let hours = status.autonomyHours else { return "not known, nothing comes" }
        return "\(TextTable.span(.seconds(hours * 3600))) without a database at the rate of the last minutes"
    }

    private func ago(_ time: Timestamp) -> String {
        "\(time), \(TextTable.span(.microseconds(now.microseconds - time.microseconds))) ago"
    }

    private func bytes(_ count: Int64) -> String {
        ByteCountFormatter.string(fromByteCount: count, countStyle: .decimal)
    }

    private static func loss(_ loss: SpoolLoss) -> String { (loss.isCertain ? "" : "perhaps: ") + "\(loss)" }

    // MARK: JSON

    /// Fields are added, never renamed or removed.
    private struct Report: Encodable {
        struct Loss: Encodable {
            var file: String
            var reason: String
            var batches: [String]
            var found_at: String
            var is_certain: Bool
        }

        var directory: String
        var origin: String
        var level: String
        var waiting_batches: Int
        var waiting_records: Int
        var waiting_bytes: Int
        var oldest_accepted_at: String?
        var oldest_age_seconds: Double?
        var segments: Int
        var retained_segments: Int
        var used_bytes: Int64
        var available_bytes: Int64
        var autonomy_hours: Double?
        var losses: [Loss]
        var written_at: String
        var written_age_seconds: Double
        var process: Int32
        var is_owner_alive: Bool
        var is_closed: Bool
        var concerns: [String]
    }

    func json() throws -> String {
        func age(_ microseconds: Int64) -> Double { Double(now.microseconds - microseconds) / 1e6 }
        func time(_ microseconds: Int64) -> String { "\(Timestamp(microseconds: microseconds))" }
        let report = Report(
            directory: directory, origin: status.origin, level: status.level.rawValue,
            waiting_batches: status.waitingBatches, waiting_records: status.waitingRecords,
            waiting_bytes: status.waitingBytes, oldest_accepted_at: status.oldestAcceptedAt.map(time),
            oldest_age_seconds: status.oldestAcceptedAt.map(age), segments: status.segments,
            retained_segments: status.retainedSegments, used_bytes: status.usedBytes,
            available_bytes: status.availableBytes, autonomy_hours: status.autonomyHours,
            losses: status.losses.map {
                .init(
                    file: $0.file, reason: $0.reason, batches: $0.batches.map(\.description),
                    found_at: time($0.foundAt), is_certain: $0.isCertain)
            },
            written_at: time(status.writtenAt), written_age_seconds: age(status.writtenAt),
            process: status.processIdentifier, is_owner_alive: isOwnerAlive, is_closed: status.isClosed,
            concerns: concerns.map(\.description))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
    }
}
