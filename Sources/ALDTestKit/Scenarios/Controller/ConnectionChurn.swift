import ALDCore
import Modbus

/// Clients that connect, read once and disconnect, over and over. Afterwards nothing of them is left on either side.
struct ConnectionChurn: ScenarioWork {
    var clients: Int
    /// Cycles of each client per second.
    var rate: Double

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 20, seed: run.seed)
        try await ControllerWay.wired.with(map, seed: run.seed, connections: clients + 1) { bench in
            // What is opened once and kept, by the event loops for instance, is open from here on.
            for _ in 0..<20 { try await cycle(bench, run) }
            let before = ProcessProbe()
            let loop = OpenLoop(rate: rate * Double(clients), duration: run.duration, clients: clients)
            let report = try await loop.run { _, _ in try await cycle(bench, run) }
            run.note("cycle", report)
            run.note("cycle failures", count: report.failed)
            try await eventually("the server has closed every connection") { bench.server?.statistics.open == 0 }
            let statistics = bench.server?.statistics ?? ServerStatistics()
            run.note("connections", count: statistics.accepted)
            run.note("connections left", count: statistics.open)
            if let before = before.descriptors, let after = ProcessProbe().descriptors {
                run.note("descriptors left", count: after - before)
            } else {
                run.doubt("descriptors are counted on Linux only")
            }
            run.sometimes("as many connections as cycles", statistics.accepted >= report.succeeded)
        }
    }

    private func cycle(_ bench: ControllerBench, _ run: ScenarioRun) async throws {
        try await bench.withClient { plc in _ = try await plc.scan(deadline: run.patience) }
    }
}

/// More clients than a controller takes: those beyond the limit are told so, and a place that becomes free is had.
struct ControllerConnectionLimit: ScenarioWork {
    var limit: Int
    var attempts: Int

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 10, seed: run.seed)
        try await ControllerWay.wired.with(map, seed: run.seed, connections: limit) { bench in
            var clients: [ModbusClient] = []
            var errors: [String] = []
            try await withCleanup {
                for number in 0..<attempts {
                    let client = try ModbusClient(configuration: impatient(bench.port), logger: TestDatabase.quiet)
                    clients.append(client)
                    // Only who has no place waits in vain.
                    let patience: Duration = number < limit ? .seconds(10) : .milliseconds(500)
                    if let error = await failure(of: client, map, run, within: patience) { errors.append(error) }
                }
                let served = attempts - errors.count
                run.note("connections at a time", count: served)
                run.note("refused", count: errors.count)
                let clear = errors.count { $0.contains("127.0.0.1:\(bench.port)") && Self.saysWhy($0) }
                run.note("refusals that say why", count: clear)
                if let error = errors.first { run.say(error) }
                // The first one leaves; one that was refused tries again.
                await clients[0].close()
                try await eventually("a place is free") { (bench.server?.statistics.open ?? 0) < limit }
                let late = try ModbusClient(configuration: impatient(bench.port), logger: TestDatabase.quiet)
                clients.append(late)
                let isServed = await failure(of: late, map, run, within: .seconds(10)) == nil
                run.note("had after one was given up", count: isServed ? 1 : 0)
            } cleanup: {
                for client in clients { await client.close() }
            }
            try await eventually("all connections are closed") { bench.server?.statistics.open == 0 }
            run.note("left open", count: bench.server?.statistics.open ?? -1)
        }
    }

    /// That the other side has ended the connection, or did not take it.
    private static func saysWhy(_ error: String) -> Bool {
        ["the connection ended", "refused", "reset"].contains { error.contains($0) }
    }

    private func impatient(_ port: Int) -> ModbusClient.Configuration {
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: port)
        configuration.backoff = .milliseconds(50)
        configuration.backoffCap = .milliseconds(100)
        return configuration
    }

    /// Why a first reading fails; `nil` when it does not.
    private func failure(
        of client: ModbusClient, _ map: RegisterMap, _ run: ScenarioRun, within patience: Duration
    ) async -> String? {
        do {
            let plc = try ModbusPLC(map, client: client)
            _ = try await plc.scan(deadline: run.time.now + patience)
            return nil
        } catch {
            return "\(error)"
        }
    }
}
