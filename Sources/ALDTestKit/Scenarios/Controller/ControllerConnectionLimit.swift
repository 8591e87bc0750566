import ALDCore
import Modbus

/// More clients than a controller takes: those beyond the limit are told so, and a place that becomes free is had.
struct ControllerConnectionLimit: ScenarioWork {
    var limit: Int
    var attempts: Int

    var unheeded: [RunOption: String] {
        [.duration: "each client tries once", .scale: "a controller takes as many connections as it takes"]
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 10, seed: run.seed)
        try await ControllerWay.wired.with(map, seed: run.seed, connections: limit) { bench in
            var clients: [ModbusClient] = []
            var account = LimitAccount(address: "127.0.0.1:\(bench.port)")
            try await withCleanup {
                for number in 0..<attempts {
                    let client = try ModbusClient(configuration: impatient(bench.port), logger: TestDatabase.quiet)
                    clients.append(client)
                    // Only who has no place waits in vain.
                    let patience: Duration = number < limit ? .seconds(10) : .milliseconds(500)
                    account.attempts.append(await failure(of: client, map, run, within: patience))
                }
                // The first one leaves; one that was refused tries again.
                await clients[0].close()
                try await eventually("a place is free") { (bench.server?.statistics.open ?? 0) < limit }
                let late = try ModbusClient(configuration: impatient(bench.port), logger: TestDatabase.quiet)
                clients.append(late)
                account.isServedLater = await failure(of: late, map, run, within: .seconds(10)) == nil
            } cleanup: {
                for client in clients { await client.close() }
            }
            account.left = try await run.leftovers("all connections are closed") { bench.server?.statistics.open ?? 0 }
            account.note(run)
        }
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

/// What has become of clients, one more after the other.
struct LimitAccount: Sendable {
    /// Where they looked for the controller.
    var address: String
    /// Why each was not served; `nil` when it was.
    var attempts: [String?] = []
    /// Whether one more was when another had left.
    var isServedLater = false
    /// Connections that are open when all have gone.
    var left = 0

    func note(_ run: ScenarioRun) {
        let errors = attempts.compactMap(\.self)
        run.note("connections at a time", count: attempts.count - errors.count)
        run.note("refused", count: errors.count)
        run.note("refusals that say why", count: errors.count { $0.contains(address) && Self.saysWhy($0) })
        if let error = errors.first { run.say(error) }
        run.note("had after one was given up", count: isServedLater ? 1 : 0)
        run.note("left open", count: left)
    }

    /// That the other side has ended the connection, or did not take it.
    private static func saysWhy(_ error: String) -> Bool {
        ["the connection ended", "refused", "reset"].contains { error.contains($0) }
    }
}
