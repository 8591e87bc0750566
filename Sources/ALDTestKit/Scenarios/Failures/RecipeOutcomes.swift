import ALDCore

/// How the recipes have ended that ran while something was in trouble, and how they have left the machine.
struct RecipeOutcomes: Sendable {
    struct Run: Hashable, Sendable {
        var status: String
        var error: String

        /// It has done what it was to do, or somebody is told why it has not.
        var isExplained: Bool { status == "completed" || status == "failed" && !error.isEmpty }
    }

    var runs: [Run]
    var openValves: Int

    func note(_ run: ScenarioRun) {
        run.note("recipes", count: runs.count)
        run.note("recipes completed", count: runs.count { $0.status == "completed" })
        run.note("recipes ended without a reason", count: runs.count { !$0.isExplained })
        run.note("valves left open", count: openValves)
        for outcome in runs where outcome.status != "completed" { run.say("\(outcome.status): \(outcome.error)") }
    }
}

extension RecipeOutcomes {
    init(of machine: SimulatedPLC, in database: PostgresConfiguration, by deadline: MonotonicInstant) async throws {
        runs = try await TestDatabase.withConnection(database) { connection, deadline in
            try await connection.query(
                "SELECT status, coalesce(error, '') FROM ald.process_executions", deadline: deadline
            ).map { Run(status: try $0.decode(0), error: try $0.decode(1)) }
        }
        openValves = 0
        for valve in Self.valves(of: machine.registerMap) {
            if try await machine.readSetPoint(of: valve, deadline: deadline) != 0 { openValves += 1 }
        }
    }

    /// What a recipe may open.
    static func valves(of map: RegisterMap) -> [ParameterID] {
        map.parameters.filter { $0.isWritable && $0.name == "valve_state" }.map(\.id)
    }
}
