import Crypto

/// One statement that applies several batches of one machine and kind: a call of the ledger's function for each. A
/// statement is a transaction of its own, so all land or none, in one round trip and through any pooler.
struct BatchStatement: Sendable {
    private(set) var text = ""
    private(set) var parameters: [PostgresValue] = []
    private(set) var batches = 0

    /// - Throws: when a value has no form that PostgreSQL can take.
    init(_ batches: [Batch], recording: PostgresSink.Recording) throws(PostgresError) {
        for batch in batches {
            switch batch.records {
            case .history(let rows), .unregistered(let rows): addHistory(rows, of: batch, recording)
            case .gaps(let gaps): addGaps(gaps, of: batch, digest: batch.digest)
            case .processEvents(let events): try addProcessEvents(events, of: batch)
            case .deadLetters(let letters): try addDeadLetters(letters, of: batch)
            }
        }
    }

    /// Claims the batch's name for an empty batch. Whoever comes later with the true one finds the name taken.
    init(voiding batch: Batch, as cut: BatchCut) {
        let letter = cut.letter.map { BatchCoding.encode(.deadLetters([$0])).bytes }
        text = "SELECT * FROM ald.void_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        parameters = [
            .int4(batch.machine), .int8(batch.id.origin), .int8(batch.id.number), .bytea(batch.digest),
            .bytea(Self.voidDigest(of: batch)), batch.parent.map { .int8($0.origin) } ?? .null,
            batch.parent.map { .int8($0.number) } ?? .null, .int8(cut.first.origin), .int8(cut.first.number),
            .text(cut.way.text), letter.map(PostgresValue.bytea) ?? .null,
        ]
    }

    /// Another than that of any contents, and the same at every attempt.
    static func voidDigest(of batch: Batch) -> [UInt8] {
        Array(SHA256.hash(data: Array("void".utf8) + batch.digest))
    }

    private mutating func addHistory(_ rows: [HistoryRow], of batch: Batch, _ recording: PostgresSink.Recording) {
        let columns: [PostgresValue] = [
            .int4Array(rows.map(\.parameter.rawValue)), .timestamptzArray(rows.map(\.time)),
            .float8Array(rows.map(\.value)), .int2Array(rows.map(\.quality.rawValue)),
        ]
        switch recording {
        case .synchronized:
            add("record_cycle", columns, of: batch, count: rows.count, digest: batch.digest, field: "status")
        case .historyOnly:
            add("apply_history_batch", columns, of: batch, count: rows.count, digest: batch.digest)
        }
    }

    private mutating func addGaps(_ gaps: [CollectionGap], of batch: Batch, digest: [UInt8]) {
        let columns: [PostgresValue] = [
            .timestamptzArray(gaps.map(\.firstMissedAt)), .timestamptzArray(gaps.map(\.lastMissedAt)),
            .int4Array(gaps.map(\.instants)), .textArray(gaps.map(\.cause.rawValue)), .textArray(gaps.map(\.detail)),
        ]
        add("apply_gap_batch", columns, of: batch, count: gaps.count, digest: digest)
    }

    private mutating func addProcessEvents(_ events: [ProcessEvent], of batch: Batch) throws(PostgresError) {
        let columns: [PostgresValue] = [
            .int8Array(events.map(\.process)), .int8Array(events.map(\.number)), .timestamptzArray(events.map(\.time)),
            .textArray(events.map(\.kind.rawValue)), .array(try PostgresArray(events.map(\.step))),
            .textArray(events.map { "{" + $0.iterations.map(\.description).joined(separator: ",") + "}" }),
            .textArray(events.map(\.text)), .textArray(events.map(\.values)),
        ]
        add("apply_process_event_batch", columns, of: batch, count: events.count, digest: batch.digest)
    }

    private mutating func addDeadLetters(_ letters: [DeadLetter], of batch: Batch) throws(PostgresError) {
        var columns: [PostgresValue] = [
            .int8Array(letters.map(\.batch.origin)), .int8Array(letters.map(\.batch.number)),
            .int4Array(letters.map(\.row)), .int2Array(letters.map(\.format)),
            .array(try PostgresArray(letters.map(\.payload))), .timestamptzArray(letters.map(\.recordedAt)),
            .timestamptzArray(letters.map(\.refusedAt)), .int4Array(letters.map(\.attempts)),
            .textArray(letters.map(\.evidence.message)),
        ]
        for text in FaultEvidence.texts {
            columns.append(.array(try PostgresArray(letters.map { $0.evidence[keyPath: text] })))
        }
        add("apply_dead_letter_batch", columns, of: batch, count: letters.count, digest: batch.digest)
    }

    private mutating func add(
        _ function: String, _ columns: [PostgresValue], of batch: Batch, count: Int, digest: [UInt8],
        field: String? = nil
    ) {
        let first = parameters.count + 1
        parameters += [
            .int4(batch.machine), .int8(batch.id.origin), .int8(batch.id.number), .int4(Int32(clamping: count)),
            .bytea(digest),
        ]
        parameters += columns
        let places = (first...parameters.count).map { "$\($0)" }.joined(separator: ", ")
        var call = "ald.\(function)(\(places))"
        if let field { call = "(\(call)).\(field)" }
        if let parent = batch.parent {
            // What stands behind the obstacle is done only when there is none.
            let next = parameters.count + 1
            parameters += [.int8(parent.origin), .int8(parent.number)]
            call = "coalesce(ald.cut_obstacle($\(first), $\(next), $\(next + 1), $\(first + 1)), \(call))"
        }
        text += (batches == 0 ? "SELECT " : ", ") + call
        batches += 1
    }
}
