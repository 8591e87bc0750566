import ALDCore
import ALDTestKit
import Foundation
import Synchronization
import XCTest

/// One spool and one machine through many lives of the process that owns them.
final class WriterChain: Sendable {
    let directory: String
    let machine: Int32
    let database: PostgresConfiguration
    let poisonEvery: Int64
    let promises = Promises()
    private let state = Mutex(State())

    private struct State {
        var kills = 0
        var blocks: Int64 = 0
        var way: PostgresConfiguration?
    }

    /// How many processes were killed.
    var kills: Int { state.withLock(\.kills) }

    /// Where the processes to come find their database, when they are not to go there straight.
    func go(by way: PostgresConfiguration?) { state.withLock { $0.way = way } }

    init(directory: String, machine: Int32, database: PostgresConfiguration, poisonEvery: Int64 = 0) throws {
        self.directory = directory + "/spool-\(machine)"
        self.machine = machine
        self.database = database
        self.poisonEvery = poisonEvery
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
    }

    /// One life, and what was promised in it.
    func live(
        _ change: (inout WriterExercise.Order) -> Void = { _ in },
        _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws -> ChildResult {
        var order = WriterExercise.Order(directory: directory)
        (order.machine, order.poisonEvery, order.first) = (machine, poisonEvery, nextBlock())
        change(&order)
        let result = try await ChildProcess.run(
            try Executables.ald(), order.arguments,
            environment: ["ALD_DATABASE_URL": .some("\(state.withLock(\.way) ?? database)")],
            endsWithin: .seconds(60)
        ) { child in
            try await body(child)
            // Whoever watches ends it, or it ends by itself. It says all the time what it does.
            var (lines, since) = (child.output.count, ContinuousClock.now)
            try await eventually("the process ends", within: .seconds(order.landsWithin + 30)) {
                if ChildProcess.isFinished(child.processIdentifier) { return true }
                if child.output.count > lines { (lines, since) = (child.output.count, .now) }
                guard since.duration(to: .now) < .seconds(20) else {
                    throw NeverHappened(description: "\(order.arguments) hangs: \(child.output.suffix(3))")
                }
                return false
            }
        }
        note(result.output, order)
        if result.signal == SIGKILL { state.withLock { $0.kills += 1 } }
        return result
    }

    /// A life that ends by a fault that was ordered: whoever ends otherwise has never come to that place.
    func die(
        _ story: String, _ change: (inout WriterExercise.Order) -> Void,
        _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws {
        let result = try await live(change, body)
        guard result.signal == SIGKILL else {
            throw NeverHappened(
                description: "\(story): the process was not killed but ended with \(result.exitCode ?? -1): "
                    + (result.output.suffix(3) + result.errors.suffix(20)).joined(separator: "\n"))
        }
    }

    /// A life in which everything that is left lands.
    func drain() async throws {
        let result = try await live { $0.appends = 0 }
        guard let last = result.output.last, last.hasPrefix("done balanced"), last.hasSuffix(" lost 0") else {
            throw NeverHappened(
                description: "machine \(machine) did not drain: "
                    + (result.output.suffix(3) + result.errors.suffix(20)).joined(separator: "\n"))
        }
    }

    func audit() async throws -> LandingAudit {
        try await LandingAudit(of: promises, machine: machine, poisonEvery: poisonEvery, in: database)
    }

    /// The database loses what its last transactions about the machine have written, ledger and rows alike.
    func forget(transactions: Int) async throws {
        let tables = ["parameter_value_history", "collection_gaps", "process_events", "dead_letters", "ingest_batches"]
        let deletes = tables.map {
            "DELETE FROM ald_history.\($0) WHERE machine_id = \(machine) AND xmin::text IN (SELECT x FROM gone);"
        }
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await connection.execute(
                script: """
                    -- What a restored server lacks, no trigger has seen go.
                    SET session_replication_role = replica;
                    CREATE TEMPORARY TABLE gone AS
                    SELECT xmin::text AS x FROM ald_history.ingest_batches WHERE machine_id = \(machine)
                    GROUP BY xmin::text ORDER BY max(applied_at) DESC LIMIT \(transactions);
                    \(deletes.joined(separator: "\n"))
                    """, deadline: deadline)
        }
    }

    /// Numbers that no other life has.
    private func nextBlock() -> Int64 {
        state.withLock { state in
            state.blocks += 1
            return state.blocks * 1_000_000
        }
    }

    private func note(_ output: [String], _ order: WriterExercise.Order) {
        let rows = Int64(order.rows)
        var last: [Int64: Int64] = [:]
        for line in output {
            let words = line.split(separator: " ")
            guard words.count == 3, words[0] == "accepted" || words[0] == "refused", let first = Int64(words[1]) else {
                continue
            }
            let index = (first - order.first) / rows
            last[index % Int64(order.callers)] = index
            if words[0] == "accepted" { promises.note(first..<first + rows, isAccepted: true) }
        }
        // What each caller was about to append when the process ended.
        for caller in 0..<Int64(order.callers) {
            let first = order.first + (last[caller].map { $0 + Int64(order.callers) } ?? caller) * rows
            promises.note(first..<first + rows, isAccepted: false)
        }
    }
}
