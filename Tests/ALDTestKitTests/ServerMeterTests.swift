import ALDCore
import Foundation
import Testing

@testable import ALDTestKit

@Suite("What a server needs") struct ServerMeterTests {
    @Test("a statement that computes shows in the processor time of the server, though its session has ended")
    func processor() async throws {
        try #require(ProcessProbe().descriptors != nil, "only Linux tells")
        let host = ScenarioHost(environment: [:])
        try await withCleanup {
            try await host.withDatabase(hasSchema: false) { database in
                let before = try #require(ServerMeter(cluster: await host.cluster).processorSeconds)
                _ = try await TestDatabase.number("SELECT count(*) FROM generate_series(1, 3000000)", database)
                try await eventually("its time is counted") {
                    (ServerMeter(cluster: await host.cluster).processorSeconds ?? 0) > before + 0.1
                }
                #expect((ServerMeter(cluster: await host.cluster).privateBytes ?? 0) > 100_000)
            }
        } cleanup: {
            try await host.stop()
        }
    }
}
