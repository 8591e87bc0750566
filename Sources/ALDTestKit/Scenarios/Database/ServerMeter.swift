import ALDCore
import Foundation

/// What a PostgreSQL server of this machine has used so far, all its processes together. Linux only: elsewhere, and for a
/// server that is not ours, every number is `nil`.
struct ServerMeter: Sendable {
    /// Since it was started, seconds; of sessions that have ended, too.
    var processorSeconds: Double?
    /// Without what the processes share, bytes.
    var privateBytes: Int?

    /// - Parameter cluster: the directory of a ``LocalPostgres``; `nil` for a server that is not ours.
    init(cluster: String?) {
        guard let cluster, let server = Self.processIdentifier(cluster) else { return }
        let own = ProcessProbe(of: server)
        let others = ProcessProbe.children(of: server).map { ProcessProbe(of: $0) }
        guard let seconds = own.processorSeconds, let ended = own.endedChildrenProcessorSeconds else { return }
        processorSeconds = others.reduce(seconds + ended) { $0 + ($1.processorSeconds ?? 0) }
        privateBytes = others.reduce(own.privateBytes ?? 0) { $0 + ($1.privateBytes ?? 0) }
    }

    /// The first line of the file with which the server holds its directory.
    private static func processIdentifier(_ cluster: String) -> Int32? {
        guard let text = try? String(contentsOfFile: cluster + "/data/postmaster.pid", encoding: .utf8) else {
            return nil
        }
        return text.split(separator: "\n").first.flatMap { Int32($0) }
    }
}

extension ScenarioRun {
    /// A database of its own, and a note of what went to and from it and of what the server needed: where the server is on
    /// this machine, a proxy stands before it and counts.
    ///
    /// - Parameter body: given how to reach the database.
    func withMeteredDatabase(_ body: (PostgresConfiguration) async throws -> Void) async throws {
        try await host.withDatabase { database in
            guard (try? ProxiedDatabase.target(of: database)) != nil else { return try await body(database) }
            try await ProxiedDatabase.run(before: database, seed: seed) { proxy, proxied in
                try await metering(proxy) { try await body(proxied) }
            }
        }
    }

    /// Notes what goes through `proxy`, and what the host's server needs, while `body` runs.
    func metering(_ proxy: FaultProxy, _ body: () async throws -> Void) async throws {
        let cluster = await host.cluster
        let (began, before, evidence) = (time.now, ServerMeter(cluster: cluster), proxy.evidence)
        try await body()
        let (after, seconds) = (ServerMeter(cluster: cluster), (time.now - began).inSeconds)
        for (name, direction) in [("to the database", FaultProxy.Direction.upstream), ("from it", .downstream)] {
            let bytes = proxy.evidence.bytes[direction, default: 0] - evidence.bytes[direction, default: 0]
            note("bandwidth \(name)", Double(bytes) / seconds, .bytesPerSecond)
        }
        if let before = before.processorSeconds, let after = after.processorSeconds {
            note("server's processor", (after - before) / seconds, .ratio)
        }
        if let bytes = after.privateBytes { note("server's memory", Double(bytes), .bytes) }
    }

    /// What this process has allocated, where the C library tells.
    func sampleHeap() {
        if let bytes = ProcessProbe.heapBytes { sample("heap in use", Double(bytes), .bytes) }
    }

    /// Looks at something again and again while `body` runs: four times a second, and some hundred times at the most.
    func looking<Result: Sendable>(
        _ look: @escaping @Sendable (ScenarioRun) -> Void, while body: () async throws -> Result
    ) async throws -> Result {
        let interval = max(.milliseconds(250), duration / 400)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                while true {
                    look(self)
                    try await time.sleep(for: interval)
                }
            }
            let result = try await body()
            group.cancelAll()
            return result
        }
    }
}
