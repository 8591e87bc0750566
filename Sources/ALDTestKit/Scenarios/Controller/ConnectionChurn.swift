import ALDCore
import Modbus

/// Clients that connect, read once and disconnect, over and over. Afterwards nothing of them is left on either side.
struct ConnectionChurn: ScenarioWork {
    var clients: Int
    /// Cycles of each client per second.
    var rate: Double
    var unheeded: [RunOption: String] { [.scale: "clients and their pace are those of the requirement"] }

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 20, seed: run.seed)
        // Twice as many clients as a controller takes, a hundred times a second: what counts is what they leave behind.
        try await ControllerWay.wired.with(map, seed: run.seed, connections: clients + 1, pace: .delayed) { bench in
            // What is opened once and kept, by the event loops for instance, is open from here on.
            for _ in 0..<20 { try await cycle(bench, run) }
            // What the server has still to close would hide as many that are left.
            _ = try await run.leftovers("the server has closed the first ones") { bench.server?.statistics.open ?? 0 }
            let before = Self.descriptors
            let loop = OpenLoop(rate: rate * Double(clients), duration: run.duration, clients: clients)
            let report = try await loop.run { _, _ in try await cycle(bench, run) }
            run.note("cycle", report)
            var account = ChurnAccount(succeeded: report.succeeded, failed: report.failed, descriptorsBefore: before)
            do {
                try await eventually("the server has closed every connection") {
                    let server = bench.server?.statistics ?? ServerStatistics()
                    (account.accepted, account.open) = (server.accepted, server.open)
                    account.descriptorsAfter = Self.descriptors
                    return account.isClean
                }
            } catch is NeverHappened {
                // The account says it.
            }
            account.note(run)
        }
    }

    /// Without timers: who waits for the first time on a busy machine only would look like a leak.
    private static var descriptors: Int? {
        let probe = ProcessProbe()
        guard let all = probe.descriptors, let timers = probe.timers else { return nil }
        return all - timers
    }

    private func cycle(_ bench: ControllerBench, _ run: ScenarioRun) async throws {
        try await bench.withClient { plc in _ = try await plc.scan(deadline: run.patience) }
    }
}

/// What clients that came and went have left behind.
struct ChurnAccount: Sendable {
    var succeeded: Int
    var failed: Int
    /// Connections that the server had, and those that it has when all have gone.
    var accepted = 0
    var open = 0
    /// `nil` where they cannot be counted.
    var descriptorsBefore: Int?
    var descriptorsAfter: Int?

    private var descriptorsLeft: Int? {
        guard let descriptorsBefore, let descriptorsAfter else { return nil }
        return descriptorsAfter - descriptorsBefore
    }

    /// Whether nothing is left.
    var isClean: Bool { open == 0 && descriptorsLeft ?? 0 <= 0 }

    func note(_ run: ScenarioRun) {
        run.note("cycle failures", count: failed)
        run.note("connections", count: accepted)
        run.note("connections left", count: open)
        if let descriptorsLeft {
            run.note("descriptors left", count: descriptorsLeft)
        } else {
            run.doubt("descriptors are counted on Linux only")
        }
        run.sometimes("a cycle", succeeded > 0)
        run.sometimes("as many connections as cycles", accepted >= succeeded)
    }
}
