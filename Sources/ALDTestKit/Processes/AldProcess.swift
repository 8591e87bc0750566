import ALDCore
import Foundation

/// Runs the `ald` executable as a user would, in a data directory of its own.
public struct AldProcess: Sendable {
    /// Its `--data-directory`.
    public let dataDirectory: String
    /// Its `--machine`.
    public let machine: String
    /// Changes to the environment; a `nil` value removes a variable.
    public var environment: [String: String?] = [:]
    /// In front of its command, such as ``NetworkNamespace/prefix``.
    public var prefix: [String] = []

    public init(dataDirectory: String, machine: String) {
        self.dataDirectory = dataDirectory
        self.machine = machine
        // Settings of whoever runs the tests must not leak into what is tested. What remains says where PostgreSQL is
        // and lets the gate recognise the processes it has started.
        let kept: Set<String> = ["ALD_POSTGRES_BIN", "ALD_GATE_ID"]
        for key in ProcessInfo.processInfo.environment.keys where key.hasPrefix("ALD_") && !kept.contains(key) {
            environment[key] = .some(nil)
        }
    }

    /// Runs `body` with a station in a directory of its own. No server of it is left running, whatever happened.
    public static func withStation(
        machine: String = Repository.machine51, _ body: (inout AldProcess) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            var station = AldProcess(dataDirectory: directory + "/data", machine: machine)
            try await withCleanup {
                try await body(&station)
            } cleanup: {
                // A server that outlived its owner is taken over and stopped in order.
                guard LocalPostgres.connectionString(ofServerIn: station.dataDirectory + "/postgres") != nil else {
                    return
                }
                let server = LocalPostgres(
                    directory: station.dataDirectory + "/postgres", logger: TestDatabase.quiet)
                _ = try await server.start()
                try await server.stop()
            }
        }
    }

    /// Starts `ald run --json` with these arguments, lets `body` disturb it, and waits for its end.
    public func run(
        _ arguments: [String] = [], _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws -> ChildResult {
        try await start(
            ["run", "--json", "--data-directory", dataDirectory, "--machine", machine] + arguments,
            .seconds(30), body)
    }

    /// Starts `ald`, any command of it, in this station's data directory, lets `body` disturb it, and waits for its end.
    ///
    /// - Parameter isTerminal: whether it is one of the commands that run a machine and want to know which.
    public func command(
        _ words: [String], isTerminal: Bool = false, endsWithin limit: Duration = .seconds(30),
        _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws -> ChildResult {
        try await start(
            words + ["--data-directory", dataDirectory] + (isTerminal ? ["--machine", machine, "--json"] : []),
            limit, body)
    }

    private func start(
        _ arguments: [String], _ limit: Duration, _ body: (RunningChild) async throws -> Void
    ) async throws -> ChildResult {
        try await ChildProcess.run(
            "/usr/bin/env", prefix + [try Executables.ald()] + arguments, environment: environment, endsWithin: limit,
            body)
    }

    /// The account with which a run ended.
    ///
    /// - Throws: ``NeverHappened`` with everything the process wrote when there is none.
    public static func summary(of result: ChildResult) throws -> RunSummary {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        for line in result.output.reversed() where line.contains("\"event\":\"summary\"") {
            return try decoder.decode(RunSummary.self, from: Data(line.utf8))
        }
        throw NeverHappened(description: "no summary, exit \(result.exitCode ?? -1):\n\(result.transcript)")
    }
}

/// What `ald run --json` writes last.
public struct RunSummary: Decodable, Sendable {
    public struct Distribution: Decodable, Sendable {
        public var count: Int
        /// In seconds, as the others.
        public var p50: Double
        public var p99: Double
        public var max: Double
    }

    public var cycles: Int
    public var rows: Int
    public var missedLate: Int
    public var missedPlc: Int
    public var missedSpool: Int
    public var gapRecords: Int
    public var intervalJitterSeconds: Distribution
    public var cycleTimeSeconds: Distribution
    public var carriedOver: Int
    public var accepted: Int
    public var landed: Int
    public var spooled: Int
    public var isBalanced: Bool
    public var rowsInDatabase: Int?
}
