import ALDCore
import Foundation

/// The channel on which commands are announced is cut again and again. What is judged: it comes back each time, what it
/// had before is tidied up, and no command is lost meanwhile.
struct ChannelLeaks: ScenarioWork {
    private static let reconnections = 10

    var unheeded: [RunOption: String] { [.scale: "the reconnections are those of the requirement"] }

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 20, seed: run.seed)
        try await run.host.withDatabase { database in
            try await ProxiedDatabase.run(before: database, seed: run.seed) { proxy, proxied in
                let channel = CommandChannel(rate: 2)
                var account = ChannelAccount()
                try await channel.serve(map, run, database, through: proxied) { terminals in
                    account = try await cut(run, channel, terminals[0], database, proxy)
                    try await channel.judge(run, terminals, database)
                }
                account.left = try await run.leftovers("nobody listens") { try await Self.listeners(database) }
                account.note(run)
            }
        }
    }

    /// Sessions that listen: `LISTEN` is the last that such a one has said. Whoever rings says something else, over a
    /// connection of the pool that may lie idle with it for long.
    static func listeners(_ database: PostgresConfiguration) async throws -> Int {
        try await TestDatabase.number(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE \(TestDatabase.otherSessions) AND query ~* '^LISTEN'
            """, database)
    }

    private func cut(
        _ run: ScenarioRun, _ channel: CommandChannel, _ terminal: CommandChannel.Terminal,
        _ database: PostgresConfiguration, _ proxy: FaultProxy
    ) async throws -> ChannelAccount {
        let beginning = run.time.now
        var account = ChannelAccount()
        try await run.fault("the channel is cut") {
            for number in 0..<Self.reconnections {
                try await run.time.sleep(until: beginning + run.duration * number / Self.reconnections)
                let connections = proxy.evidence.connections
                let cut = run.time.now
                proxy.reset()
                try await channel.insert(1, from: number, terminal, database)
                try await eventually("the bell works again") {
                    proxy.evidence.connections > connections && terminal.service.statistics.hearsBell
                }
                account.times.record(run.time.now - cut)
                let done = number + 1
                try await eventually("the command is done") { terminal.service.statistics.succeeded >= done }
                let open = try await run.leftovers("one listener, and not that which was cut", expected: 1, least: 1) {
                    try await Self.listeners(database)
                }
                account.look(
                    listeners: open, halfClosed: ProcessProbe.sockets(in: .closeWait), after: done,
                    at: run.elapsed.inSeconds)
            }
            return proxy.evidence.resets
        }
        return account
    }
}
