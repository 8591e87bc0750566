import ALDTestKit
import Testing

@testable import ALDCore

extension LetterServerTests {
    /// What people do with dead letters, on a real database.
    @Suite("Dead letters") struct DeadLetterQueueTests {
        private typealias Fixture = LetterFixture

        private static let history = "SELECT sampled_at, value, quality FROM ald.parameter_value_history ORDER BY 1"
        private static let ledger = "SELECT count(*) FROM ald.ingest_batches WHERE first_at IS NOT NULL"

        private func events(_ number: Int64, _ queue: DeadLetterQueue) async throws -> [String] {
            try await queue.history(of: Fixture.name(number), deadline: .patience).map {
                "\($0.kind.rawValue) \($0.revision) \($0.decision?.operator ?? "-")"
            }
        }

        private func state(_ number: Int64, _ queue: DeadLetterQueue) async throws -> StoredDeadLetter {
            try #require(try await queue.letter(Fixture.name(number), deadline: .patience))
        }

        @Test("a refused record is corrected and sent again: it lands once, and the first form stays")
        func editAndRequeue() async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(5000))]) { queue, connection, _ in
                let name = Fixture.name(1)
                let corrected = Fixture.reading(500)
                var outcome = try await queue.requeue(name, revision: 0, by: Fixture.ann, deadline: .patience)
                guard case .refused(let message) = outcome else { throw Unexpected("\(outcome)") }
                #expect(message.contains("temp_range"))
                var letter = try await state(1, queue)
                #expect(letter.state == .open && letter.letter.attempts == 2)
                #expect(letter.letter.evidence.message == message && letter.letter.evidence.sqlState == "23514")
                #expect(letter.fingerprint == "23514/parameter_value_history//temp_range")

                for expected in [DeadLetterOutcome.done, .unchanged] {
                    outcome = try await queue.revise(
                        name, to: corrected, from: 0, by: Fixture.ann, deadline: .patience)
                    #expect(outcome == expected)
                }
                outcome = try await queue.revise(
                    name, to: Fixture.reading(501), from: 0, by: Fixture.ann, deadline: .patience)
                #expect(outcome == .stale)
                outcome = try await queue.requeue(name, revision: 0, by: Fixture.ann, deadline: .patience)
                #expect(outcome == .stale)
                for expected in [DeadLetterOutcome.done, .unchanged, .unchanged] {
                    outcome = try await queue.requeue(name, revision: 1, by: Fixture.ann, deadline: .patience)
                    #expect(outcome == expected)
                }
                #expect(try await connection.rows(Self.history) == ["2024-01-10T00:26:40+00:00|500|192"])
                #expect(try await connection.rows(Self.ledger) == ["1"])
                letter = try await state(1, queue)
                #expect(letter.state == .requeued && letter.closedAt != nil && letter.revision == 1)
                #expect(try letter.originalRecord() == Fixture.reading(5000))
                #expect(try letter.record() == corrected)
                #expect(
                    try await events(1, queue) == ["refused 0 -", "refused 0 ann", "revised 1 ann", "requeued 1 ann"])
            }
        }

        @Test("requeued is final: nothing more can be done to the letter, and the database itself refuses it")
        func final() async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(1))]) { queue, connection, _ in
                let name = Fixture.name(1)
                let done = try await queue.requeue(name, revision: 0, by: Fixture.ann, deadline: .patience)
                #expect(done == .done)
                let revised = try await queue.revise(
                    name, to: Fixture.reading(2), from: 0, by: Fixture.ann, deadline: .patience)
                let discarded = try await queue.discard(name, by: Fixture.ann, deadline: .patience)
                let reopened = try await queue.reopen(name, by: Fixture.ann, deadline: .patience)
                #expect([revised, discarded, reopened] == Array(repeating: .closed(.requeued), count: 3))
                for statement in [
                    "UPDATE ald_history.dead_letters SET state = 'open', closed_at = NULL",
                    "DELETE FROM ald_history.dead_letters", "TRUNCATE ald_history.dead_letters CASCADE",
                    "UPDATE ald_history.dead_letter_events SET reason = 'x'",
                    "DELETE FROM ald_history.dead_letter_events", "TRUNCATE ald_history.dead_letter_events",
                ] {
                    #expect(try await connection.refusal(of: statement)?.state == "AL011", "\(statement)")
                }
                #expect(
                    try await connection.rows(
                        "SELECT chain, problem FROM ald.verify_audit(3) WHERE problem IS NOT NULL") == [])
                #expect(
                    try await connection.rows(
                        "SELECT acting_for, reason, action FROM ald.audit_log WHERE table_name = 'dead_letters'")
                        == ["ann|because|UPDATE"])
            }
        }

        @Test("a letter is discarded by name and with a reason, once, and can be taken back")
        func discard() async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(5000))]) { queue, connection, _ in
                let name = Fixture.name(1)
                for nobody in [("", "r"), (" ", "r"), ("ann", ""), ("ann", " ")] {
                    let author = DeadLetterQueue.Author(name: nobody.0, reason: nobody.1)
                    let error = try await failure {
                        _ = try await queue.discard(name, by: author, deadline: .patience)
                    }
                    #expect(error.sqlState?.rawValue == "22023")
                }
                for expected in [DeadLetterOutcome.done, .unchanged] {
                    let outcome = try await queue.discard(name, by: Fixture.ann, deadline: .patience)
                    #expect(outcome == expected)
                }
                var letter = try await state(1, queue)
                #expect(letter.state == .discarded && letter.decision == .init(operator: "ann", reason: "because"))
                let requeued = try await queue.requeue(name, revision: 0, by: Fixture.ann, deadline: .patience)
                let revised = try await queue.revise(
                    name, to: Fixture.reading(2), from: 0, by: Fixture.ann, deadline: .patience)
                #expect(requeued == .closed(.discarded) && revised == .closed(.discarded))
                #expect(try await connection.rows(Self.history) == [])
                for expected in [DeadLetterOutcome.done, .unchanged] {
                    let outcome = try await queue.reopen(name, by: Fixture.ann, deadline: .patience)
                    #expect(outcome == expected)
                }
                letter = try await state(1, queue)
                #expect(letter.state == .open && letter.closedAt == nil)
                #expect(try await events(1, queue) == ["discarded 0 ann", "reopened 0 ann"])
                let none = try await queue.discard(Fixture.name(9), by: Fixture.ann, deadline: .patience)
                #expect(none == .absent)
            }
        }

        @Test("for whom and why a letter is touched is said of that alone, not of what the transaction does next")
        func attribution() async throws {
            let letters = [1, 2, 3, 4].map { Fixture.letter($0, Fixture.reading($0 == 2 ? 5000 : 5)) }
            try await Fixture.with(letters) { _, connection, _ in
                func call(_ function: String, _ number: Int, _ more: String = "") -> String {
                    "SELECT * FROM ald.\(function)_dead_letter(3, 42, \(number), 0, \(more)'ann', 'because')"
                }
                let copy = "jsonb_build_object('letter', to_jsonb(d) || '{\"batch_number\": 9}', 'events', '[]'::jsonb)"
                let calls = [
                    (call("revise", 1, "0, '\\x00', "), "revised|1"), (call("requeue", 3, "0, "), "requeued"),
                    (call("discard", 4), "discarded"),
                    (call("reopen", 4), "reopened"),
                    (
                        "SELECT ald.import_dead_letter(3, \(copy), 'ann', 'because') "
                            + "FROM ald.dead_letters d WHERE batch_number = 1", "imported"
                    ),
                ]
                try await connection.accept(
                    "BEGIN; SELECT set_config('ald.acting_for', 'bob', true), set_config('ald.reason', 'why', true)")
                let said = "SELECT current_setting('ald.acting_for') AS f, current_setting('ald.reason') AS r"
                let other = "UPDATE ald.component_parameters SET max_value = max_value + 1"
                for (statement, answer) in calls {
                    #expect(try await connection.rows(statement) == [answer], "\(statement)")
                    #expect(try await connection.rows(said) == ["bob|why"], "\(statement)")
                    try await connection.accept(other)
                }
                // One that is refused is a letter with a new reason, and that was somebody's wish, too.
                let refused = try await connection.rows(call("requeue", 2, "0, "))
                #expect(refused.count == 1 && refused[0].hasPrefix("refused|") && refused[0].contains("temp_range"))
                #expect(try await connection.rows(said) == ["bob|why"])
                try await connection.accept("COMMIT; " + other)
                let log = "SELECT action, acting_for, reason FROM ald.audit_log WHERE table_name = "
                #expect(
                    try await connection.rows(log + "'component_parameters' AND action = 'UPDATE' ORDER BY seq")
                        == Array(repeating: "UPDATE|bob|why", count: 5) + ["UPDATE"])
                let touched = try await connection.rows(log + "'dead_letters' ORDER BY seq")
                #expect(touched.count == 6 && touched.allSatisfy { $0.hasSuffix("|ann|because") }, "\(touched)")
            }
        }

        @Test("who brings a letter from a file is the actor, whomever the file names")
        func actor() async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(5000))]) { queue, connection, _ in
                let forged = """
                    jsonb_build_object('letter', to_jsonb(d) || '{"batch_number": 9}', 'events',
                        '[{"event_number": 1, "event": "reopened", "happened_at": "2024-01-01Z", "operator": "eve",
                           "reason": "r", "actor": "mallory", "revision": 0}]'::jsonb)
                    """
                try await connection.accept(
                    "SELECT ald.import_dead_letter(3, \(forged), 'ann', 'because') FROM ald.dead_letters d")
                let me = try await connection.rows("SELECT session_user AS u")[0]
                let history = try await queue.history(of: Fixture.name(9), deadline: .patience)
                #expect(history.map(\.kind) == [.reopened, .imported])
                #expect(history.map(\.actor) == [me, me] && history.map(\.reportedActor) == ["mallory", nil])
                // Sent on to a third database, the first name stays.
                let onwards = """
                    SELECT ald.import_dead_letter(3, jsonb_build_object('letter', to_jsonb(d) || '{"batch_number": 10}',
                        'events', (SELECT jsonb_agg(to_jsonb(e)) FROM ald.dead_letter_events e)), 'ann', 'because') AS s
                    FROM ald.dead_letters d WHERE batch_number = 9
                    """
                #expect(try await connection.rows(onwards) == ["imported"])
                let further = try await queue.history(of: Fixture.name(10), deadline: .patience)
                #expect(further.map(\.reportedActor) == ["mallory", me, nil])
            }
        }

        @Test("a rehearsal says what would happen and changes nothing")
        func rehearsal() async throws {
            let letters = [Fixture.letter(1, Fixture.reading(1)), Fixture.letter(2, Fixture.reading(5000))]
            try await Fixture.with(letters) { queue, connection, _ in
                let dump = """
                    SELECT d::text FROM ald_history.dead_letters d UNION ALL SELECT e::text FROM ald.dead_letter_events e
                    UNION ALL SELECT h::text FROM ald.parameter_value_history h
                    UNION ALL SELECT b::text FROM ald.ingest_batches b UNION ALL SELECT a::text FROM ald.audit_log a
                    """
                let before = try await connection.rows(dump)
                let lands = try await queue.requeue(
                    Fixture.name(1), revision: 0, by: Fixture.ann, isRehearsal: true, deadline: .patience)
                let fails = try await queue.requeue(
                    Fixture.name(2), revision: 0, by: Fixture.ann, isRehearsal: true, deadline: .patience)
                let discarded = try await queue.discard(
                    Fixture.name(2), by: Fixture.ann, isRehearsal: true, deadline: .patience)
                #expect(lands == .done && discarded == .done)
                if case .refused = fails {} else { Issue.record("\(fails)") }
                #expect(try await connection.rows(dump) == before)
                #expect(await connection.isClean)
            }
        }

        @Test("gaps, bad readings, other days, and readings of a running process land where they belong")
        func kinds() async throws {
            let gap = CollectionGap(
                firstMissedAt: Fixture.day, lastMissedAt: Fixture.day.advanced(by: .seconds(2)), instants: 3,
                cause: .plc, detail: "zażółć \u{1F321}")
            let letters = [
                Fixture.letter(1, .gaps([gap])), Fixture.letter(2, Fixture.reading(nil, second: 86_400 * 40)),
                Fixture.letter(3, Fixture.reading(-0.1, second: 1, .uncertain)),
                Fixture.letter(4, Fixture.reading(Double.leastNonzeroMagnitude, second: 2)),
            ]
            try await Fixture.with(letters) { queue, connection, _ in
                try await connection.accept(
                    """
                    INSERT INTO ald.process_executions (machine_id, operator, started_at)
                    VALUES (3, 'o', '2024-01-10T00:26:41Z')
                    """)
                for number in Int64(1)...4 {
                    let outcome = try await queue.requeue(
                        Fixture.name(number), revision: 0, by: Fixture.ann, deadline: .patience)
                    #expect(outcome == .done, "\(number)")
                }
                #expect(
                    try await connection.rows("SELECT instants, cause, detail FROM ald.collection_gaps")
                        == ["3|plc|zażółć \u{1F321}"])
                let points = try await connection.rows("SELECT count(*) FROM ald.process_data_points")
                #expect(points == ["3"])
                #expect(
                    try await connection.rows("SELECT quality, float8send(value) FROM (\(Self.history)) h")
                        == ["64|\\xbfb999999999999a", "192|\\x0000000000000001", "0"])
                let current = try await connection.rows(
                    "SELECT sampled_at, quality FROM ald.component_parameter_values")
                #expect(current == ["2024-02-19T00:26:40+00:00|0"])
            }
        }

        @Test(
            "a session that is ended in the middle leaves the letter open, or its record landed once",
            arguments: [false, true])
        func ended(afterwards: Bool) async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(1))]) { queue, connection, database in
                // The other session is held at its last step, when everything is written and nothing is committed.
                let lock = "SELECT pg_advisory_xact_lock(77)"
                try await connection.accept(
                    """
                    CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$;
                    CREATE TRIGGER hold AFTER UPDATE ON ald_history.dead_letters FOR EACH ROW
                    EXECUTE FUNCTION public.hold();
                    """)
                try await connection.accept("BEGIN; \(lock)")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await TestDatabase.withConnection(database) { other, deadline in
                            do {
                                _ = try await DeadLetterQueue(other).requeue(
                                    Fixture.name(1), revision: 0, by: Fixture.ann, deadline: deadline)
                            } catch let error as PostgresError where !afterwards {
                                #expect(error.effect != .notSent, "\(error)")
                            }
                        }
                    }
                    let waits =
                        "(SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 77) = 1"
                    try await PostgresTestServer.waitUntil(waits, on: connection)
                    if !afterwards {
                        try await connection.accept(
                            "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 77; END $$"
                        )
                        try await group.waitForAll()
                    }
                    try await connection.accept("COMMIT")
                    try await group.waitForAll()
                }
                let expected: StoredDeadLetter.State = afterwards ? .requeued : .open
                #expect(try await state(1, queue).state == expected)
                #expect(try await connection.rows(Self.ledger) == [afterwards ? "1" : "0"])
                // Whoever does not know what became of it calls again.
                let again = try await queue.requeue(
                    Fixture.name(1), revision: 0, by: Fixture.ann, deadline: .patience)
                #expect(again == (afterwards ? .unchanged : .done))
                #expect(try await connection.rows("SELECT count(*) FROM ald.parameter_value_history") == ["1"])
            }
        }

        @Test("the same letter requeued by many at the same time lands once")
        func concurrent() async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(1))]) { _, connection, database in
                let outcomes = try await withThrowingTaskGroup(of: DeadLetterOutcome.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            try await TestDatabase.withConnection(database) { other, deadline in
                                try await DeadLetterQueue(other).requeue(
                                    Fixture.name(1), revision: 0, by: Fixture.ann, deadline: deadline)
                            }
                        }
                    }
                    return try await group.reduce(into: [DeadLetterOutcome]()) { $0.append($1) }
                }
                #expect(outcomes.count { $0 == .done } == 1 && outcomes.count { $0 == .unchanged } == 7)
                #expect(try await connection.rows("SELECT count(*) FROM ald.parameter_value_history") == ["1"])
            }
        }

        @Test("what is no fault of the record is thrown, and the letter stays as it is")
        func notTheRecord() async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(1))]) { queue, connection, _ in
                let before = try await state(1, queue)
                try await connection.accept("ALTER TABLE ald_history.current_readings RENAME TO elsewhere")
                let error = try await failure {
                    _ = try await queue.requeue(Fixture.name(1), revision: 0, by: Fixture.ann, deadline: .patience)
                }
                #expect(error.sqlState?.rawValue == "42P01" && error.remedy?.contains("ald database migrate") == true)
                #expect(try await state(1, queue) == before)
            }
        }

        @Test("operators may change, readers may look, and neither beyond their machines")
        func rights() async throws {
            try await Fixture.with([Fixture.letter(1, Fixture.reading(1))]) { queue, connection, _ in
                let tag = String(UInt32.random(in: 0...UInt32.max), radix: 36)
                let users = ["reader", "operator", "collector"].map { ($0, "letter_\($0)_\(tag)") }
                for (role, user) in users {
                    try await connection.accept("CREATE ROLE \(user); GRANT ald_\(role) TO \(user)")
                }
                try await withCleanup {
                    for (role, user) in users {
                        try await connection.accept("SET SESSION AUTHORIZATION \(user)")
                        let discard = "SELECT ald.discard_dead_letter(3, 42, 1, 0, 'o', 'r')"
                        #expect(try await connection.refusal(of: discard)?.state == "42501", "\(role), no member")
                        if role != "collector" {
                            let seen = try await queue.letter(Fixture.name(1), deadline: .patience)
                            #expect(seen == nil, "\(role)")
                        }
                        try await connection.accept(
                            "RESET SESSION AUTHORIZATION; INSERT INTO ald.machine_members VALUES ('\(user)', 3); "
                                + "SET SESSION AUTHORIZATION \(user)")
                        let isOperator = role == "operator"
                        for call in [
                            discard, "SELECT ald.reopen_dead_letter(3, 42, 1, 0, 'o', 'r')",
                            "SELECT ald.requeue_dead_letter(3, 42, 1, 0, 0, 'o', 'r')",
                            "SELECT ald.revise_dead_letter(3, 42, 1, 0, 0, 'x', 'o', 'r')",
                            "SELECT ald.import_dead_letter(3, (SELECT jsonb_build_object('letter', to_jsonb(d)) "
                                + "FROM ald.dead_letters d), 'o', 'r')",
                        ] {
                            #expect(
                                try await connection.refusal(of: call)?.state == (isOperator ? nil : "42501"),
                                "\(role): \(call)")
                        }
                        if role != "collector" {
                            let seen = try await queue.letter(Fixture.name(1), deadline: .patience)
                            #expect(seen != nil, "\(role)")
                        }
                        for write in [
                            "UPDATE ald_history.dead_letters SET state = 'open'",
                            "DELETE FROM ald_history.dead_letters",
                            "INSERT INTO ald_history.dead_letter_events DEFAULT VALUES",
                        ] { #expect(try await connection.refusal(of: write)?.state == "42501", "\(role): \(write)") }
                        try await connection.accept("RESET SESSION AUTHORIZATION")
                    }
                } cleanup: {
                    try await connection.execute(script: "RESET SESSION AUTHORIZATION", deadline: .patience)
                    for (_, user) in users { try await connection.accept("DROP ROLE \(user)") }
                }
            }
        }

        @Test("filters and groups find letters by what is the same for them")
        func filters() async throws {
            let letters = (1...5).map { number in
                Fixture.letter(Int64(number), Fixture.reading(5000), rule: number < 4 ? "temp_range" : "other")
            }
            try await Fixture.with(letters) { queue, _, _ in
                func numbers(_ change: (inout DeadLetterQueue.Filter) -> Void) async throws -> [Int64] {
                    var filter = DeadLetterQueue.Filter()
                    change(&filter)
                    let found = try await queue.list(filter, limit: 100, deadline: .patience)
                    let count = try await queue.count(filter, deadline: .patience)
                    #expect(count == found.count)
                    return found.map(\.letter.batch.number)
                }
                #expect(try await numbers { _ in } == [1, 2, 3, 4, 5])
                #expect(try await numbers { $0.fingerprint = "23514/parameter_value_history//other" } == [4, 5])
                #expect(try await numbers { $0.table = "parameter_value_history" } == [1, 2, 3, 4, 5])
                #expect(try await numbers { $0.table = "parameter_value_history_20240110" } == [1, 2, 3, 4, 5])
                #expect(try await numbers { $0.table = "collection_gaps" } == [])
                #expect(try await numbers { $0.machine = 4 } == [])
                #expect(try await numbers { $0.sqlState = "23502" } == [])
                #expect(try await numbers { $0.since = Fixture.day.advanced(by: .seconds(3604)) } == [4, 5])
                #expect(try await numbers { $0.until = Fixture.day.advanced(by: .seconds(3604)) } == [1, 2, 3])
                #expect(try await numbers { $0.names = [Fixture.name(2), Fixture.name(9)] } == [2])
                #expect(try await numbers { $0.states = [.discarded] } == [])
                let first = try await queue.list(.init(), limit: 2, deadline: .patience)
                let next = try await queue.list(.init(), after: first.last, limit: 2, deadline: .patience)
                #expect(next.map(\.letter.batch.number) == [3, 4])
                let groups = try await queue.groups(.init(), limit: 10, deadline: .patience)
                #expect(groups.map(\.letters) == [3, 2] && groups[0].fingerprint.hasSuffix("/temp_range"))
            }
        }
    }
}

private struct Unexpected: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
