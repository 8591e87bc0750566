import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// Connects that fail, each for one reason, against real servers and sockets.
struct PostgresConnectFailureTests {
    private func connectFailure(_ string: String, within limit: Duration = .seconds(60)) async throws -> PostgresError {
        try await failure {
            _ = try await PostgresConnection.connect(
                PostgresConfiguration(connectionString: string), deadline: .soon(limit), logger: TestPlace.logger)
        }
    }

    @Test func aRefusedPort() async throws {
        let listener = try SilentListener(accepts: false)
        defer { listener.close() }
        let port = listener.port
        let error = try await connectFailure("host=127.0.0.1 port=\(port) user=x dbname=y password=pass-\(port)")
        #expect(error.code == .connectionFailed)
        #expect(error.effect == .notSent)
        #expect(error.place == "127.0.0.1:\(port)/y")
        #expect(!"\(error)".contains("pass-"))
    }

    @Test func aSilentPeerDoesNotOutliveTheDeadline() async throws {
        let listener = try SilentListener()
        defer { listener.close() }
        let start = SystemTime().now
        let error = try await connectFailure(
            "host=127.0.0.1 port=\(listener.port) user=x dbname=y", within: .milliseconds(200))
        #expect(error.code == .timedOut)
        // Generous: what matters is that it is the deadline and not a system's time-out of minutes.
        #expect(SystemTime().now - start < .seconds(10))
        #expect(SystemTime().now - start >= .milliseconds(200))
    }

    @Test func cancellingAConnectEndsIt() async throws {
        let listener = try SilentListener()
        defer { listener.close() }
        let port = listener.port
        let start = SystemTime().now
        let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
            group.addTask {
                try await connectFailure("host=127.0.0.1 port=\(port) user=x dbname=y", within: .seconds(60))
            }
            try await eventually("a peer has connected") { listener.hasConnection }
            group.cancelAll()
            return try #require(try await group.next())
        }
        #expect(error.code == .cancelled)
        #expect(SystemTime().now - start < .seconds(30), "it waited for its deadline")
    }

    @Test func anUnknownHostName() async throws {
        let error = try await connectFailure("host=does-not-exist.invalid user=x dbname=y", within: .seconds(20))
        #expect(error.code == .nameResolutionFailed)
        #expect("\(error)".contains("does-not-exist.invalid"))
    }

    @Test func anImpossibleSettingIsAConfigurationFault() async throws {
        let error = try await connectFailure("host=127.0.0.1 user=x sslmode=sometimes")
        #expect(error.code == .configurationInvalid)
        #expect(error.isConfigurationFault)
    }
}
