import ALDCore
import Foundation
import ProcessUse

/// The whole batch writer: rows are accepted on this machine's disk, synced, and land in the history exactly once. The
/// rows are the same ones that the other candidates hold.
struct WriterLoad {
    /// Rows in one call of `append`.
    let rows: Int

    private static let machine: Int32 = 1
    private static let start: Int64 = 1_795_305_600_000_000
    private static let parameters = 51

    /// Brings the schema up to date and registers the machine.
    static func prepare() async throws {
        let connection = try await Target.connect()
        try await sink(pool()).prepare(on: connection, deadline: Target.time.now + .seconds(60))
        await connection.close()
    }

    private static func pool() throws -> ConnectionPool {
        try ConnectionPool(configuration: Target.configuration(), logger: Target.logger)
    }

    private static func sink(_ pool: ConnectionPool) -> PostgresSink {
        let entries = (1...parameters).map { number in
            MachineRegistration.Entry(
                id: Int32(number), component: "Peers", name: "parameter \(number)", unit: "V", dataType: "float",
                minimum: 0, maximum: 1e9, readLocation: "", writeLocation: nil)
        }
        let registration = MachineRegistration(machine: machine, name: "Peers", entries: entries)
        return PostgresSink(pool: pool, registration: registration, logger: Target.logger)
    }

    private static func records(from first: Int, count: Int) -> Records {
        .history(
            (first..<first + count).map { number in
                HistoryRow(
                    parameter: ParameterID(rawValue: Int32(number % parameters + 1)),
                    time: Timestamp(microseconds: start + Int64(number) * 1000), value: Double(number) * 0.5,
                    quality: .good)
            })
    }

    /// Runs `body` with a spool in a folder of its own and a writer that is not running yet.
    private static func withWriter(
        _ body: (BatchWriter, Spool, ConnectionPool) async throws -> Void
    ) async throws {
        let directory = NSTemporaryDirectory() + "postgres-peers-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        do {
            let spool = try Spool(directory: directory, logger: Target.logger)
            let pool = try pool()
            try await body(BatchWriter(spool: spool, sink: sink(pool), logger: Target.logger), spool, pool)
            try spool.close()
        } catch {
            try FileManager.default.removeItem(atPath: directory)
            throw error
        }
        try FileManager.default.removeItem(atPath: directory)
    }

    /// Runs the writer while `body` does.
    private static func running(
        _ writer: BatchWriter, _ pool: ConnectionPool, _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            group.addTask { try await writer.run() }
            try await body()
            group.cancelAll()
        }
    }

    /// Waits until nothing is in the spool any more, and that all of it has landed.
    private static func untilLanded(_ writer: BatchWriter) async throws {
        while writer.statistics.spooled > 0 { try await Task.sleep(for: .milliseconds(1)) }
        let statistics = writer.statistics
        guard statistics.landed == statistics.accepted, statistics.isBalanced else {
            throw Unbalanced(description: "\(statistics)")
        }
    }

    struct Unbalanced: Error, CustomStringConvertible { var description: String }

    // MARK: Jobs

    /// Accepts for so long, and counts what has landed by the time that everything has: from the first call to the last
    /// commit of the database.
    func stream(seconds: Double) async throws {
        try await Self.withWriter { writer, _, pool in
            try await Self.running(writer, pool) {
                let batches = (0..<8).map { Self.records(from: $0 * rows, count: rows) }
                try await writer.append(batches[0], machine: Self.machine)
                try await Self.untilLanded(writer)
                try await Measurement.once(untimed: rows) {
                    let end = ContinuousClock().now + .seconds(seconds)
                    var accepted = 0
                    while ContinuousClock().now < end {
                        // Eight callers: each waits for its own sync, several share one.
                        try await Self.together(batches) { try await writer.append($0, machine: Self.machine) }
                        accepted += batches.count * rows
                        while writer.statistics.spooled > 20_000 { try await Task.sleep(for: .milliseconds(1)) }
                    }
                    try await Self.untilLanded(writer)
                    return accepted
                }
            }
        }
    }

    private static func together(
        _ batches: [Records], _ body: @escaping @Sendable (Records) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for batch in batches { group.addTask { try await body(batch) } }
            try await group.waitForAll()
        }
    }

    /// Accepts for so long without a database.
    func accept(seconds: Double) async throws {
        try await Self.withWriter { writer, _, _ in
            let batches = (0..<8).map { Self.records(from: $0 * rows, count: rows) }
            try await Measurement.repeated(seconds: seconds) {
                try await Self.together(batches) { try await writer.append($0, machine: Self.machine) }
                return batches.count * rows
            }
        }
    }

    /// Fills the spool with `total` rows, and measures how long the writer takes to land them all.
    func drain(total: Int) async throws {
        try await Self.withWriter { writer, _, pool in
            try await fill(writer, total: total)
            try await Measurement.once {
                try await Self.running(writer, pool) { try await Self.untilLanded(writer) }
                return total
            }
        }
    }

    /// Fills the spool with `total` rows while the writer runs and finds no database; its memory is the result.
    func wait(total: Int) async throws {
        let nowhere = try PostgresConfiguration(connectionString: "host=/nowhere dbname=none user=nobody")
        let directory = NSTemporaryDirectory() + "postgres-peers-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let spool = try Spool(directory: directory, logger: Target.quiet)
        let pool = try ConnectionPool(configuration: nowhere, logger: Target.quiet)
        let writer = try BatchWriter(spool: spool, sink: Self.sink(pool), logger: Target.quiet)
        try await Self.running(writer, pool) {
            try await Measurement.once {
                try await fill(writer, total: total)
                try await Task.sleep(for: .seconds(1))
                return total
            }
        }
        try spool.close()
        try FileManager.default.removeItem(atPath: directory)
    }

    private func fill(_ writer: BatchWriter, total: Int) async throws {
        var first = 0
        while first < total {
            let batches = stride(from: first, to: min(total, first + 8 * rows), by: rows).map {
                Self.records(from: $0, count: min(rows, total - $0))
            }
            try await Self.together(batches) { try await writer.append($0, machine: Self.machine) }
            first += 8 * rows
        }
    }

    /// One record every millisecond, each waiting for its own sync beside a running writer; what is measured is the time
    /// from the instant that an append was due until it returned.
    static func latency(seconds: Double) async throws {
        try await withWriter { writer, _, pool in
            try await running(writer, pool) {
                try await writer.append(records(from: 0, count: 1), machine: machine)
                try await untilLanded(writer)
                let clock = ContinuousClock()
                let begin = clock.now
                let cpu = ProcessUse.processorSeconds
                let waits = try await withThrowingTaskGroup(of: Duration.self) { group in
                    let count = Int(seconds * 1000)
                    for number in 0..<count {
                        let due = begin + .milliseconds(number)
                        try await clock.sleep(until: due)
                        group.addTask {
                            try await writer.append(records(from: number, count: 1), machine: machine)
                            return clock.now - due
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }.sorted()
                }
                let took = (clock.now - begin) / .seconds(1)
                try await untilLanded(writer)
                try Measurement.report(
                    waits.count, seconds: took, cpu: ProcessUse.processorSeconds - cpu,
                    p50: waits[waits.count / 2] / .milliseconds(1),
                    p99: waits[min(waits.count - 1, waits.count * 99 / 100)] / .milliseconds(1))
            }
        }
    }
}
