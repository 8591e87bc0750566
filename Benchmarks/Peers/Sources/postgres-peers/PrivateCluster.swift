import ALDCore
import Foundation
import Logging

enum PrivateCluster {
    /// A server of its own while standard input stays open.
    static func serve() async throws {
        let directory = NSTemporaryDirectory() + "postgres-peers-\(UUID().uuidString)"
        let server = LocalPostgres(directory: directory, logger: Logger(label: "postgres-peers"))
        _ = try await server.start()
        if let url = await server.connectionString { print(url) }
        fflush(nil)
        await untilStandardInputEnds()
        try await server.stop()
        try FileManager.default.removeItem(atPath: directory)
    }

    private static func untilStandardInputEnds() async {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                while readLine() != nil {}
                continuation.resume()
            }
        }
    }
}
