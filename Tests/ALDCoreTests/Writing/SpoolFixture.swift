import ALDTestKit
import Foundation
import Logging
import Testing

@testable import ALDCore

/// What the tests of the spool share.
enum SpoolFixture {
    static let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

    /// Small enough that a test sees every limit.
    static var small: Spool.Configuration {
        var configuration = Spool.Configuration()
        configuration.ballastBytes = 0
        configuration.spareBytes = 0
        configuration.freeSpaceFloor = 0
        configuration.mergedRecords = 1
        return configuration
    }

    /// With segments of a few batches.
    static var tiny: Spool.Configuration {
        var configuration = small
        configuration.segmentBytes = 65_536
        return configuration
    }

    static func open(
        _ directory: String, seed: UInt64 = 1, _ configuration: Spool.Configuration = small,
        time: any TimeSource = SystemTime()
    ) throws -> Spool {
        var random = SeededGenerator(seed: seed)
        return try Spool(
            directory: directory, configuration: configuration, random: &random, time: time, logger: quiet)
    }

    /// Opens a spool in a directory of its own and closes it whatever happens.
    static func withSpool(
        _ configuration: Spool.Configuration = small, time: any TimeSource = SystemTime(),
        _ body: (Spool, String) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let spool = try open(directory, configuration, time: time)
            do {
                try await body(spool, directory)
            } catch {
                try spool.close()
                throw error
            }
            #expect(spool.account.isBalanced)
            for lane in [Spool.Lane.fresh, .backlog] {
                let batches = lane == .fresh ? spool.account.fresh.batches : spool.account.backlog.batches
                #expect(spool.kinds[lane].values.reduce(0, +) == batches)
            }
            try spool.close()
        }
    }

    static func rows(_ count: Int, from first: Int32 = 1) -> Records {
        .history(
            (0..<Int32(count)).map {
                HistoryRow(
                    parameter: ParameterID(rawValue: first + $0), time: Timestamp(microseconds: Int64(first)), value: 1,
                    quality: .good)
            })
    }

    /// Everything that waits, in order, by repeated calls.
    static func all(_ spool: Spool, in lane: Spool.Lane = .fresh) async throws -> [StoredBatch] {
        var found: [StoredBatch] = []
        while true {
            let next = try await spool.waiting(in: lane, excluding: Set(found.map(\.position)))
            if next.isEmpty { return found.sorted { $0.position < $1.position } }
            found += next
        }
    }

    static func files(_ directory: String, ending: String = ".sqlite") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { $0.hasPrefix("segment-") && $0.hasSuffix(ending) }.sorted()
    }
}
