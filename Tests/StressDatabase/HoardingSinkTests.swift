import ALDCore
import Synchronization
import XCTest

@testable import ALDTestKit

/// What memory criteria are there for is found by them in a real run. A process of its own: what others allocate would be
/// taken for it.
final class HoardingSinkTests: XCTestCase {
    /// Lands what it is given and keeps memory for it: for ever, or for as long as a delivery takes.
    private final class HoardingSink: ForwardingSink {
        let sink: any BatchSink
        private let bytesPerRow: Int
        private let bytesPerDelivery: Int
        private let hoard = Mutex<[[UInt8]]>([])

        init(_ sink: any BatchSink, bytesPerRow: Int = 0, bytesPerDelivery: Int = 0) {
            (self.sink, self.bytesPerRow, self.bytesPerDelivery) = (sink, bytesPerRow, bytesPerDelivery)
        }

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            // Allocated and never touched: the machine need not have it.
            var held: [UInt8] = []
            held.reserveCapacity(bytesPerDelivery)
            let rows = batches.reduce(0) { $0 + $1.records.count }
            let kept = [UInt8](repeating: 1, count: rows * bytesPerRow)
            let landings = try await sink.deliver(batches, deadline: deadline)
            hoard.withLock { $0.append(kept) }
            return withExtendedLifetime(held) { landings }
        }
    }

    private func run(_ id: String, _ work: any ScenarioWork, for duration: Duration) async throws -> ScenarioResult {
        var scenario = try XCTUnwrap(Catalogue.scenario(id))
        scenario.work = work
        var options = ScenarioRunner.Options()
        options.duration = duration
        let host = ScenarioHost()
        return try await withCleanup {
            await ScenarioRunner(options: options, host: host).run(scenario)
        } cleanup: {
            try await host.stop()
        }
    }

    private func finding(_ measure: String, _ result: ScenarioResult) -> Verdict? {
        result.findings.first { $0.criterion.measure == measure }?.verdict
    }

    func test_aSideThatHoldsMemoryForEachOfItsRows_isFoundOut() async throws {
        var work = SynchronisationCost(parameters: 84)
        work.around = { recording, sink in
            recording == .synchronized ? HoardingSink(sink, bytesPerRow: 150) : sink
        }
        let result = try await run("SYNC-BASELINE", work, for: .milliseconds(800))
        XCTAssertEqual(finding("memory increase", result), .fail, result.line)
        XCTAssertEqual(result.measurement("lost or doubled"), 0)
    }

    func test_aWriterThatKeepsSomethingOfEachBatch_isFoundOut() async throws {
        var work = WriterMemory(sizes: [100], iterations: 10, churns: 10)
        work.around = { HoardingSink($0, bytesPerRow: 200) }
        let result = try await run("SYNC-MEMORY", work, for: .seconds(1))
        XCTAssertEqual(finding("growth per round", result), .fail, result.line)
        XCTAssertEqual(finding("memory above the beginning", result), .pass, result.line)
    }

    func test_aWriterThatTakesTooMuchForAMoment_isFoundOut() async throws {
        var work = WriterMemory(sizes: [100], iterations: 3, churns: 3)
        work.around = { HoardingSink($0, bytesPerDelivery: Int(2 * WriterMemory.most)) }
        let result = try await run("SYNC-MEMORY", work, for: .seconds(1))
        XCTAssertEqual(finding("memory above the beginning", result), .fail, result.line)
    }
}
