import ALDCore
import Foundation
import Logging

/// Works with a spool in a process of its own, so that a test can kill it or give it a failing disk. What it has been
/// promised it says on standard output, a line each, at once.
enum SpoolExercise {
    /// What the process is told.
    struct Order: Sendable {
        var directory: String
        /// The first record is about this parameter, each further one about the next.
        var first: Int32 = 1
        /// How many appends altogether.
        var appends: Int = .max
        var callers: Int = 4
        /// Whether half of what waits is confirmed from time to time.
        var confirms = false
        var configuration = Spool.Configuration()

        init(directory: String) {
            self.directory = directory
            configuration.segmentBytes = 262_144
            configuration.freeSpaceFloor = 0
            configuration.ballastBytes = 65_536
            configuration.spareBytes = 65_536
        }
    }

    /// Appends one record at a time from several tasks. Lines: `accepted PARAMETER ORIGIN NUMBER`,
    /// `refused PARAMETER CODE`, and `done WAITING` at the end.
    static func run(_ order: Order) async throws {
        let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
        let spool = try Spool(directory: order.directory, configuration: order.configuration, logger: quiet)
        await withTaskGroup(of: Void.self) { group in
            for caller in 0..<order.callers {
                group.addTask {
                    for index in stride(from: caller, to: order.appends, by: order.callers) {
                        await append(order.first + Int32(truncatingIfNeeded: index), to: spool)
                        if order.confirms, index % 50 == 49 { await confirmHalf(of: spool) }
                    }
                }
            }
        }
        say("done \(spool.contents.batches) \(spool.account.isBalanced ? "balanced" : "unbalanced")")
        try spool.close()
    }

    private static func append(_ parameter: Int32, to spool: Spool) async {
        // Of some length, so that a disk fills and a log is written round.
        let rows = (0..<20).map { _ in
            HistoryRow(
                parameter: ParameterID(rawValue: parameter), time: Timestamp(microseconds: 1), value: 1, quality: .good)
        }
        do throws(SpoolError) {
            let id = try await spool.append(.history(rows), machine: 1)
            say("accepted \(parameter) \(id.origin) \(id.number)")
        } catch {
            say("refused \(parameter) \(error.code)")
            if error.code == .full { await confirmHalf(of: spool) }
        }
    }

    private static func confirmHalf(of spool: Spool) async {
        do {
            let waiting = try await spool.waiting(
                in: .fresh, limits: Spool.Limits(batches: 500, records: .max, bytes: .max))
            spool.acknowledge(waiting.prefix((waiting.count + 1) / 2).map(\.header))
            try await spool.tidyUp()
        } catch {
            say("unreadable \(error)")
        }
    }

    private static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }
}
