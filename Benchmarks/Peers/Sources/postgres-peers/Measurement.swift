import ALDCore
import Foundation
import Logging
import ProcessUse

/// What a job has done, printed as the script expects it.
struct Measurement: Encodable {
    var done: Int
    var seconds: Double
    var cpu: Double
    var rss: Int
    /// Stored beside it, before the clock started.
    var untimed: Int?
    /// In ms.
    var p50: Double?
    var p99: Double?

    /// Repeats `step` until the time is up.
    static func repeated(seconds: Double, _ step: () async throws -> Int) async throws {
        let clock = ContinuousClock()
        let (started, cpu) = (clock.now, ProcessUse.processorSeconds)
        let end = started + .seconds(seconds)
        var done = 0
        while clock.now < end { done += try await step() }
        try report(done, since: started, cpu)
    }

    static func once(untimed: Int? = nil, _ job: () async throws -> Int) async throws {
        let (started, cpu) = (ContinuousClock().now, ProcessUse.processorSeconds)
        let done = try await job()
        try report(done, since: started, cpu, untimed: untimed)
    }

    static func report(_ done: Int, seconds: Double, cpu: Double, p50: Double, p99: Double) throws {
        let result = Measurement(
            done: done, seconds: seconds, cpu: cpu, rss: ProcessUse.residentBytes, p50: p50, p99: p99)
        print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
    }

    private static func report(
        _ done: Int, since started: ContinuousClock.Instant, _ cpu: Double, untimed: Int? = nil
    ) throws {
        let result = Measurement(
            done: done, seconds: (ContinuousClock().now - started) / .seconds(1),
            cpu: ProcessUse.processorSeconds - cpu, rss: ProcessUse.residentBytes, untimed: untimed)
        print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
    }
}

/// Where the jobs find their database.
enum Target {
    static let logger = Logger(label: "postgres-peers")
    static let quiet = Logger(label: "postgres-peers") { _ in SwiftLogNoOpLogHandler() }
    static let time = SystemTime()

    static func configuration() throws -> PostgresConfiguration {
        let url = ProcessInfo.processInfo.environment["PEERS_DATABASE_URL"] ?? ""
        return try PostgresConfiguration(connectionString: url)
    }

    static func connect() async throws -> PostgresConnection {
        try await PostgresConnection.connect(try configuration(), deadline: time.now + .seconds(10), logger: logger)
    }
}
