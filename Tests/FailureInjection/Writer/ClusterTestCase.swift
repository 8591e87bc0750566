import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// A server of its own for each story: one that may be killed, copied and brought back.
class ClusterTestCase: XCTestCase {
    static let database = "story"

    /// A server with our schema, and a directory for the spool of a writer before it.
    ///
    /// - Parameter parent: the folder for everything of the server.
    func withCluster(
        on parent: String? = nil,
        _ body: @escaping @Sendable (PostgresCluster, _ directory: String) async throws -> Void
    ) async throws {
        try await PostgresCluster.run(on: parent) { cluster in
            try await Self.execute("CREATE DATABASE \(Self.database)", on: cluster)
            let database = try cluster.configuration(database: Self.database)
            try await TestDatabase.withConnection(database) { _ = try await Migrator().migrate($0, deadline: $1) }
            try await withTemporaryDirectory { try await body(cluster, $0) }
        }
    }

    /// Not in the database of the writer, but beside it.
    static func execute(_ script: String, on cluster: PostgresCluster) async throws {
        try await TestDatabase.withConnection(try cluster.configuration(database: "postgres")) {
            _ = try await $0.execute(script: script, deadline: $1)
        }
    }

    /// So many batches the ledger of this server knows.
    static func batchesInLedger(of cluster: PostgresCluster) async throws -> Int {
        try await TestDatabase.number(
            "SELECT count(*) FROM ald_history.ingest_batches", try cluster.configuration(database: database))
    }

    /// From here on the standby hears nothing of what is committed.
    static func detach(_ standby: PostgresCluster, from primary: PostgresCluster) async throws {
        try await execute("ALTER SYSTEM SET primary_conninfo = ''", on: standby)
        try await execute("SELECT pg_reload_conf()", on: standby)
        let server = try primary.configuration(database: "postgres")
        try await eventually("nobody follows") {
            try await TestDatabase.number("SELECT count(*) FROM pg_stat_replication", server) == 0
        }
    }

    static func options(_ directory: String, _ database: PostgresConfiguration) -> WriterRig.Options {
        var options = WriterRig.Options(directory: directory, database: database)
        options.writer.attemptTimeout = .seconds(2)
        options.pool.connectTimeout = .seconds(2)
        // What a test does to a connection hits the delivery on it, however long ago the last one was.
        options.pool.pingAfter = .seconds(60)
        return options
    }
}
