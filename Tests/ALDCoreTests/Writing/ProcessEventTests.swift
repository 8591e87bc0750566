import ALDTestKit
import Testing

@testable import ALDCore

extension LetterServerTests {
    /// What terminals did in processes: accepted, landed, read back, found when it is missing.
    @Suite("Process events") struct ProcessEventTests {
        private typealias Fixture = LetterFixture

        private static func event(
            _ number: Int64, process: Int64 = 7, at milliseconds: Int? = nil, _ kind: ProcessEvent.Kind = .note
        ) -> ProcessEvent {
            ProcessEvent(
                process: process, number: number,
                time: Fixture.day.advanced(by: .milliseconds(milliseconds ?? Int(number))), kind: kind,
                step: kind == .note ? nil : Int32(number),
                iterations: kind == .note ? [] : [2, Int32(number)],
                text: "zażółć \(number)", values: ["value": 0.1, "valve": "V1", "count": .integer(number), "is": true])
        }

        private static func batch(_ events: [ProcessEvent], number: Int64) -> Batch {
            Fixture.batch(.processEvents(events), number: number)
        }

        private static func read(_ connection: PostgresConnection, process: Int64 = 7) async throws -> [ProcessEvent] {
            // Page by page, each as short as can be.
            var items: [ProcessEventLog.Item] = []
            while true {
                let page = try await ProcessEventLog(connection).events(
                    machine: Fixture.machine, process: process, after: items.last, limit: 2, deadline: .patience)
                if page.isEmpty { return items.map(\.event) }
                items += page
            }
        }

        @Test("events land once, however often their batch is sent, and are read per process as they happened")
        func order() async throws {
            try await Fixture.with { _, connection, _ in
                let kinds = ProcessEvent.Kind.allCases
                let events = kinds.enumerated().map { Self.event(Int64($0.offset + 1), $0.element) }
                // Two of one instant, and a batch that lands before the one that was accepted first.
                let late = [Self.event(20, at: 50), Self.event(21, at: 50)]
                let other = Self.event(1, process: 8)
                let batches = [
                    Self.batch(late.reversed(), number: 2), Self.batch(events + [other], number: 1),
                ]
                for _ in 0..<3 { for batch in batches { try await Fixture.land([batch], connection) } }
                #expect(try await Self.read(connection) == events + late)
                #expect(try await Self.read(connection, process: 8) == [other])
                #expect(try await Self.read(connection, process: 9) == [])
                #expect(
                    try await connection.rows(
                        "SELECT origin, batch_number, row_number FROM ald.process_events ORDER BY seq LIMIT 3")
                        == ["7|2|0", "7|2|1", "7|1|0"])
                #expect(
                    try await connection.rows(
                        "SELECT details ->> 'value', details -> 'is' FROM ald.process_events WHERE event_number = 20")
                        == ["0.1|true"])
            }
        }

        @Test("nobody changes an event unseen: the table only grows, and its chain shows what was done to it")
        func chain() async throws {
            try await Fixture.with { _, connection, _ in
                try await Fixture.land([Self.batch((1...3).map { Self.event($0) }, number: 1)], connection)
                for statement in [
                    "UPDATE ald_history.process_events SET message = ''", "DELETE FROM ald_history.process_events",
                    "TRUNCATE ald_history.process_events",
                ] { #expect(try await connection.refusal(of: statement)?.state == "AL011", "\(statement)") }
                let verify = """
                    SELECT entries, first_broken, problem FROM ald.verify_audit(3) WHERE chain = 'process_events'
                    """
                #expect(try await connection.rows(verify) == ["3"])
                for (deed, finding) in [
                    ("UPDATE ald_history.process_events SET message = '' WHERE seq = 2", "1|2|was altered"),
                    ("UPDATE ald_history.process_events SET details = '{}' WHERE seq = 3", "2|3|was altered"),
                    ("DELETE FROM ald_history.process_events WHERE seq = 1", "0|1|an entry is missing"),
                ] {
                    try await connection.accept("BEGIN; SET LOCAL session_replication_role = replica; \(deed)")
                    #expect(try await connection.rows(verify) == [finding], "\(deed)")
                    try await connection.accept("ROLLBACK")
                }
            }
        }

        @Test("an event that breaks a rule becomes a dead letter, and lands in its place once it is corrected")
        func deadLetter() async throws {
            let (wrong, right) = (Self.event(0, at: 3, .pulse), Self.event(5, at: 3, .pulse))
            try await Fixture.with([Fixture.letter(1, .processEvents([wrong]))]) { queue, connection, _ in
                let name = Fixture.name(1)
                let refused = try await queue.requeue(name, revision: 0, by: Fixture.ann, deadline: .patience)
                guard case .refused(let message) = refused else {
                    Issue.record("\(refused)")
                    return
                }
                #expect(message.contains("process_events_event_number_check"))
                let letter = try #require(try await queue.letter(name, deadline: .patience))
                #expect(RecordDocument(letter, names: [:])?.number == 0)
                let revised = try await queue.revise(
                    name, to: .processEvents([right]), from: 0, by: Fixture.ann, deadline: .patience)
                #expect(revised == .done)
                for expected in [DeadLetterOutcome.done, .unchanged] {
                    let outcome = try await queue.requeue(name, revision: 1, by: Fixture.ann, deadline: .patience)
                    #expect(outcome == expected)
                }
                #expect(try await Self.read(connection) == [right])
            }
        }

        @Test("what is cut short, too long or no object is refused and stays a letter")
        func damagedLetters() async throws {
            let sound = Fixture.letter(1, .processEvents([Self.event(1, .set)]))
            var letters = Array(repeating: sound, count: 3)
            letters[0].payload.removeLast()
            letters[1].payload.append(0)
            letters[2].payload[28] = 0x7F
            for index in letters.indices { letters[index].batch.number = Int64(index + 1) }
            try await Fixture.with(letters) { queue, connection, _ in
                for number in Int64(1)...3 {
                    let outcome = try await queue.requeue(
                        Fixture.name(number), revision: 0, by: Fixture.ann, deadline: .patience)
                    guard case .refused = outcome else {
                        Issue.record("\(number): \(outcome)")
                        continue
                    }
                }
                #expect(try await Self.read(connection) == [])
            }
        }

        @Test("events that are missing, doubled or without a batch are found, and sound ones are in the account")
        func verified() async throws {
            try await Fixture.with { _, connection, _ in
                let batches = [
                    Self.batch([Self.event(1), Self.event(2)], number: 1), Self.batch([Self.event(3)], number: 2),
                    Self.batch([Self.event(4)], number: 3), Self.batch([Self.event(5)], number: 4),
                ]
                try await Fixture.land(batches, connection)
                func verify() async throws -> Verification {
                    try await Verifier(connection).verify(
                        machine: Fixture.machine, from: Fixture.day, to: Fixture.day.advanced(by: .seconds(60)),
                        time: SystemTime(), patience: .seconds(60)
                    ) { _ in }
                }
                let sound = try await verify()
                #expect(sound.verdict == .sound && sound.events == 5 && sound.accepted == 5, "\(sound)")
                try await connection.accept(
                    """
                    SET session_replication_role = replica;
                    DELETE FROM ald_history.process_events WHERE event_number = 1;
                    INSERT INTO ald_history.process_events (machine_id, seq, process_id, event_number, happened_at, kind,
                        origin, batch_number, row_number, previous_hash, row_hash)
                    SELECT machine_id, 100, process_id, event_number, happened_at, kind, origin, batch_number, 7,
                        previous_hash, row_hash FROM ald_history.process_events WHERE event_number = 3;
                    UPDATE ald_history.process_events SET batch_number = 9 WHERE event_number = 4;
                    SET session_replication_role = origin;
                    """)
                let found = try await verify()
                // As many as announced in all: only the batches tell.
                #expect(found.findingCounts == [.missing: 1, .surplus: 1, .unannounced: 1], "\(found)")
                #expect(
                    found.findings.map(\.detail).sorted()
                        == [1, 2, 9].map { "process events of batch 7/\($0)" })
                try await connection.accept(
                    "SET session_replication_role = replica; DELETE FROM ald_history.process_events "
                        + "WHERE event_number = 5; SET session_replication_role = origin")
                let lost = try await verify()
                #expect(lost.findingCounts[.uncounted] == 1, "a batch of which nothing is left")
            }
        }

        @Test("a terminal that runs recipes lands its events with its own rights, and closes a name")
        func terminal() async throws {
            try await Fixture.with { _, connection, database in
                let user = "terminal2_" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
                try await connection.accept(
                    """
                    CREATE ROLE \(user) LOGIN; GRANT ald_recipes TO \(user);
                    INSERT INTO ald.machine_members VALUES ('\(user)', \(Fixture.machine));
                    """)
                try await withCleanup {
                    let words = "\(database)".split(separator: " ").filter { !$0.hasPrefix("user=") }
                    let own = try PostgresConfiguration(
                        connectionString: words.joined(separator: " ") + " user=\(user)")
                    let pool = try ConnectionPool(configuration: own, logger: TestDatabase.quiet)
                    let registration = MachineRegistration(machine: Fixture.machine, name: "ALD-3", entries: [])
                    let sink = PostgresSink(pool: pool, registration: registration, logger: TestDatabase.quiet)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await pool.run() }
                        let batch = Self.batch([Self.event(1)], number: 1)
                        let voided = Self.batch([Self.event(2)], number: 2)
                        let letters = Fixture.batch(
                            .deadLetters([Fixture.letter(1, .processEvents([Self.event(0)]))]), number: 3)
                        let first = try await sink.deliver([batch], deadline: .patience)
                        let again = try await sink.deliver([batch], deadline: .patience)
                        let cut = BatchCut(way: .halves, first: BatchID(origin: -9, number: 1))
                        let closed = try await sink.void(voided, as: cut, deadline: .patience)
                        let buried = try await sink.deliver([letters], deadline: .patience)
                        #expect(
                            first == [.landed] && again == [.known] && closed == .closed(cut) && buried == [.landed])
                        let header = EncodedRecords(batch.records, machine: batch.machine).sealed(
                            batch.id, at: SpoolPosition(segment: 1, row: 1), acceptedAt: Fixture.day, parent: nil
                        ).header
                        let missing = try await sink.missing(of: [header], deadline: .patience)
                        #expect(missing == [])
                        group.cancelAll()
                    }
                    #expect(try await Self.read(connection) == [Self.event(1)])
                } cleanup: {
                    try await connection.execute(
                        script: "DELETE FROM ald.machine_members WHERE member = '\(user)'; DROP ROLE \(user)",
                        deadline: .patience)
                }
            }
        }
    }
}
