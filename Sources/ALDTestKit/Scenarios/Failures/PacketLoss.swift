import ALDCore
import Foundation

/// All terminals, their database and their controller in a network of their own that loses packets both ways. What is
/// judged: nothing accepted and no command is lost or done twice, and all are back when the network is.
struct PacketLoss: ScenarioWork {
    /// Of each packet, 0…1.
    var probability: Double

    private static let database = "ald"

    func run(_ run: ScenarioRun) async throws {
        try await NetworkNamespace.run { namespace in
            try await PostgresCluster.run(in: namespace) { cluster in
                try await TestDatabase.withConnection(cluster.configuration(database: "postgres")) {
                    _ = try await $0.execute(script: "CREATE DATABASE \(Self.database)", deadline: $1)
                }
                // Through its Unix socket, which no packet filter sees.
                let database = try cluster.configuration(database: Self.database)
                try await TestDatabase.withConnection(database) { _ = try await Migrator().migrate($0, deadline: $1) }
                _ = try await ProcessPlant.run(
                    run, database: database, address: cluster.addressedConnectionString(database: Self.database),
                    in: namespace
                ) { plant in
                    try await plant.whileCommanding(run, for: run.duration) {
                        try await lose(run, namespace, [cluster.port, plant.controllerPort])
                    }
                    try await recover(run, plant)
                }
            }
        }
    }

    private func lose(_ run: ScenarioRun, _ namespace: NetworkNamespace, _ ports: Set<Int>) async throws {
        let end = run.time.now + run.duration
        let words = "\(Quantity.ratio.text(probability)) of the packets are lost"
        try await run.fault(words) {
            try await namespace.under(PacketFault(.loss(probability), ports: ports)) { fault in
                try await run.time.sleep(until: end)
                let lost = try await fault.packets()
                run.note("packets lost on their way to a server", count: lost[.upstream] ?? 0)
                run.note("packets lost on their way back", count: lost[.downstream] ?? 0)
                run.sometimes("loss both ways", !lost.values.contains(0))
                return lost.values.reduce(0, +)
            }
        }
    }

    /// A recipe goes on, or has ended with a reason and its valve closed: one that is not known to be open or closed in
    /// time is not played on. Then somebody clears the machine and starts it again.
    private func recover(_ run: ScenarioRun, _ plant: ProcessPlant) async throws {
        let healed = run.time.now
        try await plant.everybodyWorks(since: ProcessWork(of: plant), clearing: true)
        run.note("recovery", run.time.now - healed)
        run.note("recipes ended for safety", count: try await plant.processes("status = 'failed' AND error <> ''"))
        run.note(
            "recipes ended without a reason",
            count: try await plant.processes("status NOT IN ('running', 'failed') OR status = 'failed' AND error = ''"))
    }
}
