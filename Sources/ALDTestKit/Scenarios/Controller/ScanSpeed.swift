import ALDCore
import Foundation

/// How long it takes to read all parameters.
struct ScanSpeed: ScenarioWork {
    var parameters: Int
    /// How a test plants a bug between whoever reads and the machine.
    var around: @Sendable (any PLC) -> any PLC = { $0 }

    func run(_ run: ScenarioRun) async throws {
        let map = try run.generatedMachine(parameters: parameters)
        for way in ControllerWay.allCases {
            try await way.with(map, seed: run.seed) { bench in
                try await bench.withClient { plc in try await read(around(plc), way, run) }
            }
        }
    }

    private func read(_ plc: any PLC, _ way: ControllerWay, _ run: ScenarioRun) async throws {
        var (times, missing, scans) = (DurationHistogram(), 0, 0)
        let end = run.time.now + run.duration / 2
        // A few at least, however slow they are.
        while scans < 5 || (run.time.now < end && scans < 10_000) {
            let began = run.time.now
            let readings = try await plc.scan(deadline: run.patience).readings
            times.record(run.time.now - began)
            missing += plc.registerMap.parameters.count - readings.count { $0.value != nil }
            scans += 1
        }
        run.note("\(way.rawValue): read all", times)
        run.note("\(way.rawValue): scans", count: scans)
        run.note("\(way.rawValue): missing values", count: missing)
    }
}

/// From nothing to the first reading: the register map from its file, the parameters into the database and out of it
/// again, a connection, a reading.
struct ParameterLoading: ScenarioWork {
    var parameters: Int
    /// How a test plants a bug between whoever reads and the machine.
    var around: @Sendable (any PLC) -> any PLC = { $0 }
    private static let rounds = 5

    var unheeded: [RunOption: String] { [.duration: "everything is loaded \(Self.rounds) times"] }

    func run(_ run: ScenarioRun) async throws {
        let generated = try run.generatedMachine(parameters: parameters)
        let file = try await run.host.directory() + "/machine.csv"
        try generated.csv.write(toFile: file, atomically: true, encoding: .utf8)
        for way in ControllerWay.allCases {
            try await run.host.withDatabase { database in
                try await way.with(generated, seed: run.seed) { bench in
                    var times = DurationHistogram()
                    var missing = 0
                    for machine in 1...Int32(Self.rounds) {
                        let began = run.time.now
                        let loaded = try await load(bench, from: file, machine, database, run)
                        times.record(run.time.now - began)
                        missing = max(missing, loaded.missing(of: generated))
                    }
                    run.note("\(way.rawValue): loaded and read", times)
                    run.note("\(way.rawValue): missing parameters", count: missing)
                }
            }
        }
        run.note("parameters", count: generated.parameters.count)
    }

    private func load(
        _ bench: ControllerBench, from file: String, _ machine: Int32, _ database: PostgresConfiguration,
        _ run: ScenarioRun
    ) async throws -> LoadedParameters {
        let map = try RegisterMap(file: file)
        let known = try await register(map, machine, database)
        let readings = try await bench.withClient(of: map) {
            try await around($0).scan(deadline: run.patience).readings
        }
        return LoadedParameters(known: known, readings: readings)
    }

    private func register(
        _ map: RegisterMap, _ machine: Int32, _ database: PostgresConfiguration
    ) async throws -> Set<ParameterID> {
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await MachineRegistration(machine: machine, name: "ALD-\(machine)", registerMap: map)
                .register(connection, updatesExisting: false, deadline: deadline)
            let rows = try await connection.query(
                "SELECT parameter_id, min_value, max_value FROM ald.component_parameters WHERE machine_id = $1",
                [.int4(machine)], deadline: deadline)
            return Set(try rows.map { ParameterID(rawValue: try $0.decode(0, as: Int32.self)) })
        }
    }
}

/// What is there after a start.
struct LoadedParameters: Sendable {
    /// In the database.
    var known: Set<ParameterID>
    /// The first of the machine.
    var readings: [Reading]

    /// How many are not in the database, or have no value.
    func missing(of map: RegisterMap) -> Int {
        let valued = Set(readings.filter { $0.value != nil }.map(\.parameter))
        return map.parameters.count { !known.contains($0.id) || !valued.contains($0.id) }
    }
}
