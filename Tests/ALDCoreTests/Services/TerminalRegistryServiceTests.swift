import ALDTestKit
import Foundation
import Synchronization
import Testing

@testable import ALDCore

@Suite("What a terminal tells the registry") struct TerminalPulseTests {
    @Test("It is entered, beats, and says goodbye")
    func life() {
        var pulse = TerminalPulse(predecessors: [7])
        #expect(pulse.next() == .register(after: [7], unless: []))
        pulse.happened(.registered(8))
        #expect(pulse.next() == .beat(8))
        pulse.happened(.heard)
        #expect(pulse.next() == .beat(8))
        pulse.happened(.stop)
        #expect(pulse.next() == .sayGoodbye(8))
        pulse.happened(.heard)
        #expect((pulse.state, pulse.next()) == (.ended, .doNothing))
    }

    @Test("An entry that is gone is entered anew, and only who finds another one living is displaced")
    func displaced() {
        var pulse = TerminalPulse(predecessors: [])
        pulse.happened(.registered(1))
        pulse.happened(.unknown)
        #expect(pulse.next() == .register(after: [], unless: []))
        pulse.happened(.refused("another one"))
        #expect((pulse.state, pulse.next()) == (.displaced("another one"), .doNothing))
        pulse.happened(.registered(2))
        #expect(pulse.state == .displaced("another one"), "what was displaced stays so")
    }

    @Test("An entry whose commit was not answered may be its own, until it is known to be")
    func doubt() {
        var pulse = TerminalPulse(predecessors: [7])
        pulse.happened(.entering(8))
        #expect(pulse.next() == .register(after: [7], unless: [8]))
        pulse.happened(.entering(9))
        #expect(pulse.next() == .register(after: [7], unless: [8, 9]))
        #expect(pulse.entries == [7, 8, 9], "all of them are dead if it dies now")
        var stopped = pulse
        stopped.happened(.stop)
        #expect(stopped.next() == .sayGoodbye(9), "the older ones are undone, or it would not have been given another")
        pulse.happened(.registered(8))
        #expect((pulse.next(), pulse.entries) == (.beat(8), [8]))
        pulse.happened(.unknown)
        #expect(pulse.next() == .register(after: [7], unless: []), "what has ended is not its own any more")
    }

    @Test("Doubts are bounded: the oldest is forgotten")
    func boundedDoubt() {
        var pulse = TerminalPulse(predecessors: [])
        for instance in 1...Int64(TerminalPulse.mostInDoubt + 2) { pulse.happened(.entering(instance)) }
        #expect(pulse.entries == Array(3...Int64(TerminalPulse.mostInDoubt + 2)))
    }

    @Test("Who was never heard has nobody to say goodbye to")
    func neverHeard() {
        var pulse = TerminalPulse(predecessors: [])
        pulse.happened(.stop)
        #expect(pulse.next() == .doNothing)
    }
}

@Suite("The lock of a terminal") struct TerminalLockTests {
    @Test("A second one is told who has it, another terminal and another machine are free")
    func exclusive() async throws {
        try await withTemporaryDirectory { directory in
            let first = try TerminalLock(.commands, machine: 1, directory: directory)
            let refusal = #expect(throws: TerminalLock.Refusal.self) {
                try TerminalLock(.commands, machine: 1, directory: directory)
            }
            #expect(refusal?.owner == "\(getpid())")
            #expect(refusal?.reason.contains("Terminal 3 (commands) of machine 1 runs already") == true)
            try TerminalLock(.recipes, machine: 1, directory: directory).release()
            try TerminalLock(.commands, machine: 2, directory: directory).release()
            #expect(TerminalLock.owner(of: .commands, machine: 1, directory: directory) == "\(getpid())")
            first.release()
            #expect(TerminalLock.owner(of: .commands, machine: 1, directory: directory) == nil)
        }
    }

    @Test("Looking who has it is in nobody's way")
    func looking() async throws {
        try await withTemporaryDirectory { directory in
            try TerminalLock(.commands, machine: 1, directory: directory).release()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        while !Task.isCancelled {
                            _ = TerminalLock.owner(of: .commands, machine: 1, directory: directory)
                            await Task.yield()
                        }
                    }
                }
                defer { group.cancelAll() }
                for _ in 0..<2000 {
                    let lock = try TerminalLock(.commands, machine: 1, directory: directory)
                    #expect(TerminalLock.owner(of: .commands, machine: 1, directory: directory) == "\(getpid())")
                    lock.release()
                    await Task.yield()
                }
            }
        }
    }

    @Test("What ended without a word leaves its number, what ended in order does not")
    func predecessor() async throws {
        try await withTemporaryDirectory { directory in
            let killed = try TerminalLock(.commands, machine: 1, directory: directory)
            #expect(killed.predecessors == [])
            killed.note(instances: [11, 12])
            killed.release()
            let next = try TerminalLock(.commands, machine: 1, directory: directory)
            #expect(next.predecessors == [11, 12])
            next.release()
            let third = try TerminalLock(.commands, machine: 1, directory: directory)
            #expect(third.predecessors == [11, 12], "it was not heard of again: still the one to be given up")
            third.note(instances: [])
            third.release()
            let last = try TerminalLock(.commands, machine: 1, directory: directory)
            #expect(last.predecessors == [])
            last.release()
        }
    }

    @Test("A directory that is not there is said with its path")
    func noDirectory() {
        let refusal = #expect(throws: TerminalLock.Refusal.self) {
            try TerminalLock(.recipes, machine: 1, directory: "/nonexistent")
        }
        #expect(refusal?.isHeld == false)
        #expect(refusal?.reason.contains("/nonexistent/terminal2-machine1.lock") == true)
    }
}

extension ServiceServerTests {
    @Suite struct TerminalRegistryService {
        private static let entries = """
            SELECT terminal, status, status_reason FROM ald.terminal_instances ORDER BY instance_id
            """

        private static func registry(
            _ database: PostgresConfiguration, _ locks: [TerminalLock],
            onDisplaced: @escaping @Sendable (ALDCore.TerminalRegistry.Displaced) -> Void = { _ in }
        ) throws -> ALDCore.TerminalRegistry {
            var configuration = ALDCore.TerminalRegistry.Configuration(version: "test")
            configuration.heartbeatInterval = .seconds(1)
            return try ALDCore.TerminalRegistry(
                database: database, locks: locks, configuration: configuration, logger: TestDatabase.quiet,
                onDisplaced: onDisplaced)
        }

        private static func withPlant(
            _ body: @Sendable (PostgresConnection, PostgresConfiguration, String) async throws -> Void
        ) async throws {
            try await SchemaDatabase.with { connection, database in
                try await connection.accept(SchemaDatabase.plant)
                try await withTemporaryDirectory { try await body(connection, database, $0) }
            }
        }

        @Test("Both terminals of a process are entered, report, and end in order")
        func life() async throws {
            try await Self.withPlant { connection, database, directory in
                let locks = try [Terminal.collection, .commands].map {
                    try TerminalLock($0, machine: 1, directory: directory)
                }
                let registry = try Self.registry(database, locks)
                registry.report(.commands) {
                    var report = TerminalReport()
                    report.processed = 5
                    report.controllerFault = "no\0answer"
                    report.degrade("the controller is away")
                    return report
                }
                try await registry.admit(by: .patience)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await registry.run() }
                    try await eventually("both have reported") {
                        try await connection.rows(Self.entries) == [
                            "terminal1|healthy|", "terminal3|degraded|the controller is away",
                        ]
                    }
                    group.cancelAll()
                }
                #expect(
                    try await connection.rows(Self.entries) == [
                        "terminal1|stopped|stopped in order", "terminal3|stopped|stopped in order",
                    ])
                #expect(
                    try await connection.rows("SELECT plc_error FROM ald.machine_health WHERE terminal = 'terminal3'")
                        == ["no\u{2400}answer"])
                #expect(registry.standing(of: .commands) == .ended)
                locks.forEach { $0.release() }
            }
        }

        @Test("A second one in another directory is refused by the database, and leaves nothing")
        func refused() async throws {
            try await Self.withPlant { connection, database, directory in
                let first = try TerminalLock(.commands, machine: 1, directory: directory)
                try await Self.registry(database, [first]).admit(by: .patience)
                try await withTemporaryDirectory { other in
                    let locks = try [Terminal.collection, .commands].map {
                        try TerminalLock($0, machine: 1, directory: other)
                    }
                    let second = try Self.registry(database, locks)
                    let displaced = await #expect(throws: ALDCore.TerminalRegistry.Displaced.self) {
                        try await second.admit(by: .patience)
                    }
                    #expect(displaced?.terminal == .commands)
                    #expect(displaced?.reason.hasPrefix("terminal3 of machine 1 runs already: process") == true)
                    #expect(
                        try await connection.rows(Self.entries) == [
                            "terminal3|starting|", "terminal1|stopped|stopped in order",
                        ])
                }
            }
        }

        @Test("After a kill the next one gives its dead predecessor up and is entered at once")
        func killed() async throws {
            try await Self.withPlant { connection, database, directory in
                let killed = try TerminalLock(.commands, machine: 1, directory: directory)
                try await Self.registry(database, [killed]).admit(by: .patience)
                killed.release()
                let next = try TerminalLock(.commands, machine: 1, directory: directory)
                let registry = try Self.registry(database, [next])
                try await registry.admit(by: .patience)
                #expect(registry.standing(of: .commands) == .registered(instance: 2))
                #expect(
                    try await connection.rows(Self.entries) == [
                        "terminal3|crashed|its process has ended without a word", "terminal3|starting|",
                    ])
            }
        }

        @Test("A database that is away admits everybody; who finds his place taken when it is back is told once")
        func displacedLater() async throws {
            try await Self.withPlant { connection, database, directory in
                let lock = try TerminalLock(.commands, machine: 1, directory: directory)
                let told = Mutex<[String]>([])
                let registry = try Self.registry(database, [lock]) { displaced in
                    told.withLock { $0.append(displaced.reason) }
                }
                try await registry.admit(by: SystemTime().now - .seconds(1))
                #expect(registry.standing(of: .commands) == .unregistered)
                #expect(registry.problem != nil)
                try await connection.accept(
                    "SELECT ald.register_terminal(1, 'terminal3', 'elsewhere', 1, 'v', 'testing', 300)")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await registry.run() }
                    try await eventually("it is displaced") { told.withLock { !$0.isEmpty } }
                    group.cancelAll()
                }
                #expect(told.withLock(\.count) == 1)
                #expect(try await connection.rows(Self.entries) == ["terminal3|starting|"])
            }
        }

        @Test("Its session is ended and its entry given up: the next heartbeat revives it")
        func revived() async throws {
            try await Self.withPlant { connection, database, directory in
                let lock = try TerminalLock(.commands, machine: 1, directory: directory)
                let registry = try Self.registry(database, [lock])
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await registry.run() }
                    let status = "SELECT status FROM ald.terminal_instances"
                    try await eventually("it beats") { try await connection.rows(status) == ["healthy"] }
                    try await connection.accept(
                        """
                        UPDATE ald.terminal_instances SET status = 'crashed', ended_at = now();
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ald registry'
                            AND datname = current_database()
                        """)
                    try await eventually("it beats again") { try await connection.rows(status) == ["healthy"] }
                    group.cancelAll()
                }
            }
        }
    }
}
