import ALDTestKit
import Testing

@testable import ALDCore

extension ServiceServerTests {
    /// What is known of a run does not depend on the order in which its events land.
    @Suite struct RunRecords {
        private static let valves = RecipeSchedulesTests.valves

        /// The events of a run in virtual time, in the pieces in which a recorder would hand them over.
        private static func story(_ process: Int64, seed: UInt64, stopped: Bool) throws -> [[ProcessEvent]] {
            var random = SeededGenerator(seed: seed)
            var number: Int32 = 0
            let recipe = Recipe(
                name: "random",
                steps: RecipeSchedulesTests.steps(depth: 0, &number, &random) + [
                    RecipeStep(id: number + 1, .valve(valves[0], open: .milliseconds(50)))
                ])
            var machine = try RecipeMachine(
                recipe, interlocks: RecipeSchedulesTests.interlocks, start: MonotonicInstant(nanoseconds: 0))
            var world = RecipeWorld(outputs: [RecipeSchedulesTests.flow: 50])
            world.events = [
                (MonotonicInstant(nanoseconds: 20_000_000), .pause),
                (MonotonicInstant(nanoseconds: 90_000_000), .resume),
            ]
            if stopped { world.events.append((MonotonicInstant(nanoseconds: 160_000_000), .stop("operator"))) }
            let ending = try world.run(&machine)
            var narrator = ProcessNarrator(
                process: process, recipe: recipe, start: MonotonicInstant(nanoseconds: 0), wall: HistoryDatabase.noon)
            var pieces: [[ProcessEvent]] = []
            var rest = world.records[...]
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 1...7, using: &random))
                pieces.append(narrator.tell(Array(rest.prefix(count))))
                rest = rest.dropFirst(count)
            }
            pieces.append(narrator.end(ending, at: world.now))
            return pieces.filter { !$0.isEmpty }
        }

        private static func land(
            _ pieces: [[ProcessEvent]], from first: Int64, _ connection: PostgresConnection
        ) async throws {
            for (index, piece) in pieces.enumerated() {
                let records = Records.processEvents(piece)
                let (format, bytes) = BatchCoding.encode(records)
                let batch = Batch(
                    id: BatchID(origin: 1, number: first + Int64(index)), machine: 1, records: records,
                    digest: BatchCoding.digest(machine: 1, format: format.rawValue, bytes: bytes))
                let statement = try BatchStatement([batch], recording: .synchronized)
                _ = try await connection.query(statement.text, statement.parameters, deadline: .patience)
            }
        }

        @Test("In order, backwards and shuffled: the same state, history, audit and end", arguments: [false, true])
        func anyOrder(stopped: Bool) async throws {
            try await SchemaServerTests.RecipeStoring.withStore { store, connection in
                let seed = TestSeed.draw()
                var random = SeededGenerator(seed: seed)
                let version = try await store.store(
                    SchemaServerTests.RecipeStoring.wait(1), author: "e", on: connection, deadline: .patience
                ).version
                var process: Int64 = 0
                var batches: Int64 = 1
                for round in 0..<3 {
                    var found: [[String]] = []
                    for order in 0..<3 {
                        process += 1
                        try await connection.accept(
                            """
                            INSERT INTO ald.process_executions (machine_id, recipe_id, recipe_version, operator, status,
                                started_at) VALUES (1, \(version.recipe), 1, 'o', 'running', '2026-01-07 11:59:59Z');
                            INSERT INTO ald.process_execution_state (machine_id, process_id, total_steps, updated_at)
                            VALUES (1, \(process), 100000, '2026-01-07 11:59:59Z')
                            """)
                        var pieces = try Self.story(process, seed: seed &+ UInt64(round), stopped: stopped)
                        if order == 1 { pieces.reverse() }
                        if order == 2 { pieces.shuffle(using: &random) }
                        try await Self.land(pieces, from: batches, connection)
                        batches += Int64(pieces.count)
                        found.append(
                            try await connection.rows(
                                """
                                SELECT 'end', status, ended_at::text, error, '' FROM ald.process_executions
                                WHERE process_id = \(process)
                                UNION ALL SELECT 'state', completed_steps::text, occurrence::text, status_number::text,
                                    concat_ws(' ', updated_at, step_id, loop_iterations) FROM ald.process_execution_state WHERE process_id = \(process)
                                UNION ALL SELECT 'step', occurrence::text, step_id || ' ' || loop_iterations::text,
                                    outcome, started_at || ' ' || ended_at
                                FROM ald.step_execution_history WHERE process_id = \(process)
                                UNION ALL SELECT 'audit', operation::text, event, kind || coalesce(step_id, 0),
                                    concat_ws(' ', parameter_id, target_value, actual_value, write_started_at,
                                        write_ended_at, verification, attempts, error)
                                FROM ald.recipe_execution_audit WHERE process_id = \(process) ORDER BY 1, 2, 3, 4, 5
                                """))
                    }
                    #expect(found[0].count > 3)
                    #expect(found[1] == found[0], "backwards, seed \(seed), round \(round)")
                    #expect(found[2] == found[0], "shuffled, seed \(seed), round \(round)")
                }
                #expect(
                    try await connection.rows("SELECT count(*) FROM ald.step_execution_history WHERE ended_at IS NULL")
                        == ["0"])
            }
        }
    }
}
