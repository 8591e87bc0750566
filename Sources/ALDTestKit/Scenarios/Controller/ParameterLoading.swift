import ALDCore
import Foundation

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
                try await way.with(generated, seed: run.seed, pace: .inTurn) { bench in
                    var times = LoadingTimes()
                    var missing = 0
                    for machine in 1...Int32(Self.rounds) {
                        let loaded = try await load(bench, from: file, machine, database, run, &times)
                        missing = max(missing, loaded.missing(of: generated))
                    }
                    times.note(run, way)
                    run.note("\(way.rawValue): missing parameters", count: missing)
                }
            }
        }
        run.note("parameters", count: generated.parameters.count)
    }

    private func load(
        _ bench: ControllerBench, from file: String, _ machine: Int32, _ database: PostgresConfiguration,
        _ run: ScenarioRun, _ times: inout LoadingTimes
    ) async throws -> LoadedParameters {
        let began = run.time.now
        let map = try RegisterMap(file: file)
        let built = run.time.now
        let (known, registered, queried) = try await register(map, machine, database, run)
        let readings = try await bench.withClient(of: map) {
            try await around($0).scan(deadline: run.patience).readings
        }
        times.add(began: began, built: built, registered: registered, queried: queried, read: run.time.now)
        return LoadedParameters(known: known, readings: readings)
    }

    /// - Returns: the parameters that the database knows then, when they had been registered, and when they had come back.
    private func register(
        _ map: RegisterMap, _ machine: Int32, _ database: PostgresConfiguration, _ run: ScenarioRun
    ) async throws -> (Set<ParameterID>, registered: MonotonicInstant, queried: MonotonicInstant) {
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await MachineRegistration(machine: machine, name: "ALD-\(machine)", registerMap: map)
                .register(connection, updatesExisting: false, deadline: deadline)
            let registered = run.time.now
            let rows = try await connection.query(
                "SELECT parameter_id, min_value, max_value FROM ald.component_parameters WHERE machine_id = $1",
                [.int4(machine)], deadline: deadline)
            let known = Set(try rows.map { ParameterID(rawValue: try $0.decode(0, as: Int32.self)) })
            return (known, registered, run.time.now)
        }
    }
}

/// How long loading took, altogether and part by part.
struct LoadingTimes: Sendable {
    private(set) var whole = DurationHistogram()
    /// The register map from its file.
    private(set) var map = DurationHistogram()
    /// A connection to the database, and the map into it.
    private(set) var registration = DurationHistogram()
    /// The parameters out of the database.
    private(set) var query = DurationHistogram()
    /// A connection to the machine, and the first reading.
    private(set) var reading = DurationHistogram()

    /// One round, by when each part of it had ended.
    mutating func add(
        began: MonotonicInstant, built: MonotonicInstant, registered: MonotonicInstant, queried: MonotonicInstant,
        read: MonotonicInstant
    ) {
        whole.record(read - began)
        map.record(built - began)
        registration.record(registered - built)
        query.record(queried - registered)
        reading.record(read - queried)
    }

    func note(_ run: ScenarioRun, _ way: ControllerWay) {
        for (name, times) in [
            ("loaded and read", whole), ("register map from its file", map), ("registration", registration),
            ("load query", query), ("first reading", reading),
        ] { run.note("\(way.rawValue): \(name)", times) }
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
