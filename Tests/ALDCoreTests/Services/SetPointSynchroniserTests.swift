import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

@Suite("Set points that differ") struct SetPointSynchronisationTests {
    private func known(
        _ setValue: Double?, unit: String = "", tolerance: Double? = nil, isWritable: Bool = true
    ) -> [Int32: SetPointSynchronisation.Known] {
        [
            1: .init(
                setValue: setValue, unit: unit,
                entry: .init(minimum: 0, maximum: 1e6, isWritable: isWritable, setPointTolerance: tolerance))
        ]
    }

    private func differs(_ seen: Double, _ known: [Int32: SetPointSynchronisation.Known]) -> Bool {
        !SetPointSynchronisation.differences(seen: [ParameterID(rawValue: 1): seen], known: known).isEmpty
    }

    @Test("What the unit's instruments do not resolve and single precision rounds is no difference")
    func tolerances() {
        #expect(!differs(100.009, known(100, unit: "°C")))
        #expect(differs(100.011, known(100, unit: "°C")))
        #expect(differs(100.009, known(100)))
        #expect(!differs(Double(Float(0.1)), known(0.1)))
        #expect(!differs(99_999.95, known(100_000, unit: "Pa")))
        #expect(differs(99_999, known(100_000, unit: "Pa")))
    }

    @Test("The parameter's own tolerance counts before the unit's")
    func ownTolerance() {
        #expect(!differs(101, known(100, unit: "°C", tolerance: 2)))
        #expect(differs(100.005, known(100, unit: "°C", tolerance: 0.001)))
    }

    @Test("Nothing known is a difference; read-only, unknown and no number are not")
    func others() {
        #expect(differs(0, known(nil)))
        #expect(!differs(5, known(0, isWritable: false)))
        #expect(!differs(.nan, known(0)))
        #expect(!differs(.infinity, known(nil)))
        #expect(!differs(5, [:]))
    }

    @Test("A refused value is told once, until it is another one or was in order")
    func news() {
        var decisions = SetPointSynchronisation()
        let id = ParameterID(rawValue: 1)
        let refused = SetPointSynchronisation.Outcome(parameter: id, kind: .refused)
        var news: [Bool] = []
        for value in [5.0, 5, 6] { news.append(decisions.isNews(refused, of: value)) }
        decisions.keepRefusals([])
        news.append(decisions.isNews(refused, of: 6))
        #expect(news == [true, false, true, true])
        let others = [SetPointSynchronisation.Outcome.Kind.external, .synchronised, .busy].map {
            decisions.isNews(.init(parameter: id, kind: $0), of: 1)
        }
        #expect(others == [true, false, false])
    }
}

@Suite("Metadata that is kept") struct MetadataCacheTests {
    @Test("What was learnt is there after a restart; a broken file and another machine's are none")
    func kept() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/metadata.json"
            let metadata = MachineMetadata(
                machine: 1, entries: [3: .init(minimum: 0, maximum: 5, isWritable: true, setPointTolerance: 0.5)])
            let first = MetadataCache(path: path, machine: 1, logger: TestDatabase.quiet)
            #expect(first.current == nil)
            #expect(first.renew(metadata))
            #expect(!first.renew(metadata))
            #expect(MetadataCache(path: path, machine: 1, logger: TestDatabase.quiet).current == metadata)
            #expect(MetadataCache(path: path, machine: 2, logger: TestDatabase.quiet).current == nil)
            try "{".write(toFile: path, atomically: true, encoding: .utf8)
            #expect(MetadataCache(path: path, machine: 1, logger: TestDatabase.quiet).current == nil)
        }
    }

    @Test("A reading outside of narrower limits is uncertain, its value stays")
    func judged() {
        let id = ParameterID(rawValue: 3)
        let metadata = MachineMetadata(
            machine: 1, entries: [3: .init(minimum: 0, maximum: 5, isWritable: true, setPointTolerance: nil)])
        let readings = [5.0, 6].map { Reading(parameter: id, value: $0, quality: .good) } + [.unread(id)]
        #expect(metadata.judged(readings).map(\.quality) == [.good, .uncertain, .bad])
        #expect(metadata.judged(readings).map(\.value) == [5, 6, nil])
    }
}

extension ServiceServerTests {
    /// The machine wins, with a real table and a simulated machine.
    @Suite struct SetPoints {
        struct Bench: Sendable {
            let connection: PostgresConnection
            let machine: SimulatedPLC
            let map: RegisterMap
            let synchroniser: SetPointSynchroniser
            let cache: MetadataCache

            func setValue(_ name: String) async throws -> String {
                try await connection.rows(
                    "SELECT set_value FROM ald.component_parameters WHERE parameter_id = \(map.parameter(named: name).id)"
                ).first ?? ""
            }

            func turn(_ name: String, to value: Double) async throws {
                try await machine.write(
                    value, to: map.parameter(named: name).id, deadline: SystemTime().now + .seconds(60))
            }

            /// A command for MFC 1.flow from its insertion to its end, as Terminal 3 notes it.
            func command(_ value: Double, ending: String, ago: String = "0 s") async throws {
                try await connection.accept(
                    """
                    INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                    VALUES (1, 8, \(value))
                    """)
                let id = try #require(
                    try await connection.rows("SELECT max(command_id) FROM ald.parameter_control_commands").first)
                _ = try await connection.rows("SELECT * FROM ald.take_parameter_commands(1, 'w', 1, 60)")
                try await connection.accept(
                    """
                    SELECT ald.finish_parameter_command(1, \(id), 'w', \(ending));
                    SET session_replication_role = replica;
                    UPDATE ald.parameter_control_commands SET executing_at = executing_at - interval '\(ago)',
                        finished_at = finished_at - interval '\(ago)', written_at = written_at - interval '\(ago)'
                    WHERE command_id = \(id);
                    RESET session_replication_role
                    """)
            }

            var changes: [String] {
                get async throws {
                    try await connection.rows(
                        "SELECT parameter_id, previous_value, value, problem FROM ald.set_point_changes ORDER BY change_id"
                    )
                }
            }
        }

        static func withBench(_ body: @Sendable (Bench) async throws -> Void) async throws {
            let map = try RegisterMap(file: Repository.machine51)
            let machine = SimulatedPLC(map, seed: 1)
            try await SchemaDatabase.with { connection, database in
                _ = try await MachineRegistration(machine: 1, name: "ALD-1", registerMap: map)
                    .register(connection, updatesExisting: false, deadline: .patience)
                let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
                try await withTemporaryDirectory { directory in
                    let cache = MetadataCache(path: directory + "/m.json", machine: 1, logger: TestDatabase.quiet)
                    var settings = SetPointSynchroniser.Configuration()
                    // What is tested is not how fast a busy machine is.
                    (settings.callTimeout, settings.readTimeout) = (.seconds(30), .seconds(30))
                    let synchroniser = try SetPointSynchroniser(
                        plc: machine, pool: pool, machine: 1, metadata: cache, configuration: settings,
                        logger: TestDatabase.quiet)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await pool.run() }
                        try await body(
                            Bench(
                                connection: connection, machine: machine, map: map, synchroniser: synchroniser,
                                cache: cache))
                        group.cancelAll()
                    }
                }
            }
        }

        @Test("The first look takes over what the machine has; a change at the machine is taken over and noted")
        func external() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                #expect(bench.synchroniser.statistics.problem == nil)
                #expect(bench.synchroniser.statistics.synchronised == 32)
                #expect(try await bench.changes == [])
                #expect(bench.cache.current?.entries.count == 51)
                try await bench.turn("MFC 1.flow", to: 30)
                await bench.synchroniser.look()
                #expect(try await bench.setValue("MFC 1.flow") == "30")
                #expect(try await bench.changes == ["8|0|30"])
                await bench.synchroniser.look()
                #expect(try await bench.changes.count == 1)
                #expect(bench.synchroniser.statistics.external == 1)
            }
        }

        @Test("What somebody writes into the table alone gives way to the machine")
        func machineWins() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                try await bench.connection.accept(
                    "UPDATE ald.component_parameters SET set_value = 99 WHERE parameter_id = 8")
                await bench.synchroniser.look()
                #expect(try await bench.setValue("MFC 1.flow") == "0")
                #expect(try await bench.changes == [], "nobody was at the machine")
            }
        }

        @Test("What somebody does at the machine is noted also when it undoes what a command has just done")
        func undone() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                try await bench.command(40, ending: "'succeeded', NULL, 40, now(), now()")
                // And back, before anybody has looked: the machine says what it said before.
                await bench.synchroniser.look()
                #expect(try await bench.changes == ["8|40|0"])
                try await bench.turn("MFC 1.flow", to: 40)
                await bench.synchroniser.look()
                #expect(try await bench.changes == ["8|40|0", "8|0|40"], "the command is older than the change")
                try await bench.connection.accept(
                    "UPDATE ald.component_parameters SET set_value = 5 WHERE parameter_id = 8")
                await bench.synchroniser.look()
                #expect(try await bench.changes.count == 2)
            }
        }

        @Test(
            "What a controller makes of a command's value is no change at the machine",
            arguments: [
                "'succeeded', NULL, 40, now(), now()", "'failed', 'written, and reads back as 40', 40, now(), NULL",
                "'unknown', 'lost', NULL, NULL, NULL",
            ])
        func rounded(ending: String) async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                try await bench.connection.accept(
                    "UPDATE ald.component_parameters SET readback_tolerance = 0.5 WHERE parameter_id = 8")
                try await bench.command(40.3, ending: ending)
                try await bench.turn("MFC 1.flow", to: 40)
                await bench.synchroniser.look()
                #expect(try await bench.setValue("MFC 1.flow") == "40")
                #expect(try await bench.changes == [])
            }
        }

        @Test("What a command did while nobody looked is ours, however long ago; what it did not do is not")
        func whileNobodyLooked() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                try await bench.command(40, ending: "'unknown', 'lost', NULL, NULL, NULL", ago: "2 days")
                try await bench.command(70, ending: "'failed', 'refused', NULL, NULL, NULL", ago: "1 day")
                try await bench.turn("MFC 1.flow", to: 40)
                await bench.synchroniser.look()
                #expect(try await bench.changes == [])
                try await bench.turn("MFC 1.flow", to: 70)
                await bench.synchroniser.look()
                #expect(try await bench.changes == ["8|40|70"])
            }
        }

        @Test("What a recipe did while the database was away is ours when its records land, and afterwards")
        func recipe() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                try await bench.connection.accept(
                    """
                    INSERT INTO ald.process_executions (machine_id, operator, started_at)
                    VALUES (1, 'o', now() - interval '2 h');
                    UPDATE ald.process_executions SET status = 'running';
                    UPDATE ald.process_executions SET status = 'completed', ended_at = now() - interval '1 h';
                    INSERT INTO ald.recipe_execution_audit (machine_id, process_id, operation, event, kind, step_id,
                        parameter_id, target_value, write_started_at, recorded_at)
                    VALUES (1, 1, 1, 'succeeded', 'parameter', 1, 8, 40, now() - interval '90 min', now() - interval '1 h'),
                        (1, 1, 2, 'succeeded', 'valve', 2, 29, 1, now() - interval '80 min', now() - interval '1 h');
                    UPDATE ald.component_parameters SET set_value = 1 WHERE parameter_id = 29
                    """)
                try await bench.turn("MFC 1.flow", to: 40)
                await bench.synchroniser.look()
                #expect(try await bench.setValue("MFC 1.flow") == "40")
                #expect(try await bench.setValue("Valve 1.valve_state") == "0")
                #expect(try await bench.changes == [])
                // On its way to 60 when the records of a later step landed.
                try await bench.connection.accept(
                    """
                    INSERT INTO ald.recipe_execution_audit (machine_id, process_id, operation, event, kind, step_id,
                        parameter_id, target_value, write_started_at)
                    VALUES (1, 1, 3, 'succeeded', 'parameter', 3, 8, 60, now() - interval '70 min')
                    """)
                try await bench.turn("MFC 1.flow", to: 55)
                await bench.synchroniser.look()
                #expect(try await bench.changes == [])
            }
        }

        @Test("A command in flight, or ended since the machine was read, keeps the synchronisation away")
        func busy() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                func synchronise(since: String) -> String {
                    "SELECT outcome FROM ald.synchronise_set_points(1, \(since), '{8}', '{5}')"
                }
                let since = try #require(try await bench.connection.rows("SELECT clock_timestamp()").first)
                try await bench.connection.accept(
                    "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) VALUES (1, 8, 40)"
                )
                _ = try await bench.connection.rows("SELECT * FROM ald.take_parameter_commands(1, 'w', 1, 60)")
                #expect(try await bench.connection.rows(synchronise(since: "clock_timestamp()")) == ["busy"])
                try await bench.connection.accept(
                    "SELECT ald.finish_parameter_command(1, 1, 'w', 'succeeded', NULL, 40, now(), now())")
                #expect(
                    try await bench.connection.rows(synchronise(since: "'\(since)'")) == ["busy"],
                    "the old value was read before it was written")
                #expect(try await bench.setValue("MFC 1.flow") == "40")
                #expect(
                    try await bench.connection.rows(synchronise(since: "clock_timestamp()")) == ["external"])
            }
        }

        @Test("What a command of ours did is nobody else's change, also when nobody knew whether it was written")
        func ours() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                try await bench.connection.accept(
                    "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) VALUES (1, 8, 40)"
                )
                _ = try await bench.connection.rows("SELECT * FROM ald.take_parameter_commands(1, 'w', 1, 60)")
                try await bench.turn("MFC 1.flow", to: 40)
                try await bench.connection.accept(
                    "SELECT ald.finish_parameter_command(1, 1, 'w', 'unknown', 'lost', NULL, NULL, NULL)")
                await bench.synchroniser.look()
                #expect(try await bench.setValue("MFC 1.flow") == "40")
                #expect(try await bench.changes == [])
            }
        }

        @Test("A set point that no command may write is told and noted once, and never stored")
        func refused() async throws {
            try await Self.withBench { bench in
                await bench.synchroniser.look()
                try await bench.connection.accept(
                    "UPDATE ald.component_parameters SET max_value = 20 WHERE parameter_id = 8")
                try await bench.turn("MFC 1.flow", to: 150)
                for _ in 0..<3 { await bench.synchroniser.look() }
                #expect(try await bench.setValue("MFC 1.flow") == "0")
                #expect(try await bench.changes == ["8|0|150|150 for MFC 1.flow is outside of 0 to 20"])
                #expect(bench.synchroniser.statistics.refused == 1)
                #expect(bench.cache.current?.entries[8]?.maximum == 20)
                try await bench.turn("MFC 1.flow", to: 10)
                await bench.synchroniser.look()
                #expect(try await bench.setValue("MFC 1.flow") == "10")
                #expect(bench.synchroniser.statistics.refused == 0)
            }
        }
    }
}
