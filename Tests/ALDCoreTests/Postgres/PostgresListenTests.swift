import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension PostgresServerTests {
    @Suite(.serialized) struct Listening {
        private func notify(_ channel: String, _ payloads: [String], on connection: PostgresConnection) async throws {
            _ = try await connection.query(
                "SELECT pg_notify($1, p) FROM unnest($2) p", [.text(channel), .textArray(payloads)], deadline: .patience
            )
        }

        @Test func whatIsNotifiedArrivesInOrder() async throws {
            let listener = try await PostgresTestServer.connect()
            let sender = try await PostgresTestServer.connect()
            let pid = await sender.backendProcessID
            let heard = try await listener.listen(to: ["Ventil \"A\"", "b"], deadline: .patience) { notifications in
                try await notify("Ventil \"A\"", ["1", "ä"], on: sender)
                try await notify("b", [""], on: sender)
                try await notify("ventil", ["for nobody"], on: sender)
                try await notify("b", ["last"], on: sender)
                var heard: [PostgresNotification] = []
                for try await notification in notifications {
                    heard.append(notification)
                    if notification.payload == "last" { break }
                }
                return heard
            }
            #expect(heard.map(\.payload) == ["1", "ä", "", "last"])
            #expect(heard.map(\.channel) == ["Ventil \"A\"", "Ventil \"A\"", "b", "b"])
            #expect(heard.allSatisfy { $0.processID == pid && $0.dropped == 0 })
            // Nobody listens any more.
            #expect(await listener.isClean)
            let channels = try await listener.query("SELECT pg_listening_channels()", deadline: .patience)
            #expect(channels.isEmpty)
            await listener.close()
            await sender.close()
        }

        /// They are read while the listener is busy; beyond the bound the newest are kept and the loss is counted.
        @Test func aSlowListenerKeepsTheNewest() async throws {
            let listener = try await PostgresTestServer.connect()
            let sender = try await PostgresTestServer.connect()
            try await listener.listen(to: ["c"], capacity: 3, deadline: .patience) { notifications in
                let iterator = notifications.makeAsyncIterator()
                try await notify("c", ["first"], on: sender)
                #expect(try await iterator.next()?.payload == "first")
                // One statement, one delivery: all ten are there when the next of them is.
                try await notify("c", (0..<10).map(String.init), on: sender)
                var payloads: [String] = []
                while payloads.last != "9", let next = try await iterator.next() {
                    payloads.append(next.payload)
                    if next.payload == "9" { #expect(next.dropped == 10 - payloads.count) }
                }
                #expect(payloads.count <= 10)
            }
            await listener.close()
            await sender.close()
        }

        @Test func aLostLinkEndsTheSequenceWithItsReason() async throws {
            let listener = try await PostgresTestServer.connect()
            let killer = try await PostgresTestServer.connect()
            let pid = await listener.backendProcessID
            let error = try await failure {
                try await listener.listen(to: ["d"], deadline: .patience) { notifications in
                    _ = try await killer.query("SELECT pg_terminate_backend($1)", [.int4(pid)], deadline: .patience)
                    for try await _ in notifications {}
                    Issue.record("it ended as if nothing had happened")
                }
            }
            #expect(error.code == .connectionLost)
            #expect(error.sqlState == .adminShutdown)
            #expect(await !listener.isUsable)
            await killer.close()
        }

        @Test func closingEndsTheListening() async throws {
            let listener = try await PostgresTestServer.connect()
            let error = try await failure {
                try await listener.listen(to: ["e"], deadline: .patience) { notifications in
                    await listener.close()
                    for try await _ in notifications {}
                }
            }
            #expect(error.code == .connectionLost)
        }

        @Test func aCancelledTaskStopsListening() async throws {
            let listener = try await PostgresTestServer.connect()
            let observer = try await PostgresTestServer.connect()
            let pid = await listener.backendProcessID
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await listener.listen(to: ["f"], deadline: .patience) { notifications in
                        for try await _ in notifications {}
                    }
                }
                try await PostgresTestServer.waitUntil(
                    "SELECT query LIKE 'LISTEN%' AND state = 'idle' FROM pg_stat_activity WHERE pid = \(pid)",
                    on: observer)
                group.cancelAll()
                try await group.waitForAll()
            }
            #expect(await !listener.isUsable)
            await observer.close()
        }

        /// The task is cancelled and the closure does not end: nobody has to wait for it, neither the one who closes the
        /// connection nor the pool that ends.
        @Test(arguments: [false, true]) func aClosureThatHangsHoldsNobodyUp(isReaderFirst: Bool) async throws {
            let listener = try await PostgresTestServer.connect()
            let isOver = Shared(false)
            let (hasBegun, mayEnd) = (Wakeup(), Wakeup())
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await listener.listen(to: ["i"], deadline: .patience) { notifications in
                        hasBegun.signal()
                        await mayEnd.waitThroughCancellation()
                        let error = try await failure { for try await _ in notifications {} }
                        #expect(error.code == .connectionLost)
                    }
                }
                await hasBegun.wait()
                group.cancelAll()
                // Once the reader has left, and once perhaps before.
                if isReaderFirst { try await eventually("nobody reads") { await listener.currentWait == nil } }
                try await withThrowingTaskGroup(of: Void.self) { closing in
                    closing.addTask {
                        await listener.close()
                        isOver.value = true
                    }
                    try await withCleanup {
                        try await eventually("it is closed", within: .seconds(10)) { isOver.value }
                    } cleanup: {
                        mayEnd.signal()
                    }
                    try await closing.waitForAll()
                }
                try await group.waitForAll()
            }
            #expect(await !listener.isUsable)
        }

        @Test func aPoolEndsWhileAListenerHangs() async throws {
            let pool = try ConnectionPool(
                configuration: PostgresTestServer.configuration(), logger: TestPlace.logger)
            let (hasBegun, mayEnd) = (Wakeup(), Wakeup())
            let isOver = Shared(false)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await pool.run()
                    isOver.value = true
                }
                group.addTask {
                    try await pool.withConnection(holder: "deaf", deadline: .patience) { connection in
                        try await connection.listen(to: ["j"], deadline: .patience) { _ in
                            hasBegun.signal()
                            await mayEnd.waitThroughCancellation()
                        }
                    }
                }
                await hasBegun.wait()
                group.cancelAll()
                try await withCleanup {
                    try await eventually("the pool has ended", within: .seconds(10)) { isOver.value }
                } cleanup: {
                    mayEnd.signal()
                }
                try await group.waitForAll()
            }
            #expect(pool.statistics.total == 0)
        }

        @Test func statementsMeanwhileAndImpossibleChannelsAreRefused() async throws {
            let connection = try await PostgresTestServer.connect()
            try await connection.listen(to: ["g"], deadline: .patience) { _ in
                let error = try await failure { _ = try await connection.query("SELECT 1", deadline: .patience) }
                #expect(error.code == .misuse)
            }
            for name in ["", String(repeating: "x", count: 64)] {
                let error = try await failure { try await connection.listen(to: [name], deadline: .patience) { _ in } }
                #expect(error.code == .misuse)
            }
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func behindATransactionPoolerItIsRefused() async throws {
            var configuration = try PostgresTestServer.configuration()
            configuration.pooling = .transaction
            let connection = try await PostgresConnection.connect(
                configuration, deadline: .patience, logger: TestPlace.logger)
            let error = try await failure { try await connection.listen(to: ["h"], deadline: .patience) { _ in } }
            #expect(error.code == .misuse)
            #expect(error.message.contains("pooler"))
            await connection.close()
        }
    }
}

@Suite(.background) struct NotificationBufferTests {
    private func take(_ buffer: inout NotificationBuffer) -> (String, Int)? {
        guard case .notification(let next) = buffer.take() else { return nil }
        return (next.payload, next.dropped)
    }

    @Test func theOldestMakesRoomAndIsCounted() throws {
        var buffer = NotificationBuffer(capacity: 2)
        for number in 0..<5 { buffer.append(PostgresNotification(channel: "c", payload: "\(number)", processID: 1)) }
        #expect(try #require(take(&buffer)) == ("3", 3))
        buffer.append(PostgresNotification(channel: "c", payload: "5", processID: 1))
        #expect(try #require(take(&buffer)) == ("4", 3))
        #expect(try #require(take(&buffer)) == ("5", 3))
        #expect(take(&buffer) == nil)
    }

    @Test func whatHasArrivedIsTakenBeforeTheEnd() throws {
        var buffer = NotificationBuffer(capacity: 2)
        buffer.append(PostgresNotification(channel: "c", payload: "1", processID: 1))
        buffer.end(.failed(PostgresError(.connectionLost, "gone")))
        buffer.end(.stopped)
        buffer.append(PostgresNotification(channel: "c", payload: "2", processID: 1))
        #expect(take(&buffer)?.0 == "1")
        guard case .ended(let error?) = buffer.take() else {
            Issue.record("the first reason counts")
            return
        }
        #expect(error.message == "gone")
    }
}
