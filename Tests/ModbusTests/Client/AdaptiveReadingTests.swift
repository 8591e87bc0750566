import ALDTestKit
import NIOCore
import Synchronization
import Testing

@testable import Modbus

/// A ``LimitedDevice`` to be served.
private final class ServedDevice: ModbusDevice {
    private let device: Mutex<LimitedDevice>

    init(_ device: LimitedDevice) {
        self.device = Mutex(device)
    }

    var asked: [ReadSpan] {
        device.withLock { $0.asked }
    }

    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        guard case .read(let table, let range) = request else { throw ModbusException(.illegalFunction) }
        let plan = ReadPlan(requests: [PlannedRead(table: table, range: range, filler: 0)])
        switch device.withLock({ $0.run(plan) }).results.first {
        case .success(.registers(let words)): return .registers(table, words)
        case .success(.bits(let bits)): return .bits(table, bits)
        case .failure(let error):
            if case .exception(let code, _) = error.code { throw ModbusException(code) }
            throw .serverDeviceFailure
        case nil: throw .serverDeviceFailure
        }
    }
}

@Suite("A client that learns how its device is read", .timeLimit(.minutes(1)))
struct AdaptiveReadingTests {
    private let spans = [0, 10, 40, 80, 200].map { ReadSpan(.holdingRegisters, AddressRange(first: $0, last: $0 + 1)) }

    @Test("one call brings all values, although the device has holes and takes 60 registers at most")
    func learns() async throws {
        let device = ServedDevice(LimitedDevice(missing: [20], maximumRegisters: 60))
        let server = ModbusServer(device: device)
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: try await server.start())
        // Requests are counted, so each must be alone on the connection.
        configuration.window = 1
        let client = try ModbusClient(configuration: configuration)
        let reading = AdaptiveReading(try AdaptiveReader(spans, followsCost: false))
        for _ in 0..<8 {
            let results = await client.read(reading, deadline: .now() + .seconds(30))
            for span in spans {
                #expect(
                    results.values(span.table, span.range) == .success(.registers([span.range.start, span.range.last])))
            }
        }
        let before = device.asked.count
        _ = await client.read(reading, deadline: .now() + .seconds(30))
        #expect(device.asked.count - before == reading.reader.plan.requests.count, "nothing is left to learn")
        #expect(reading.reader.plan.requests.map { "\($0.range)" } == ["0×12", "40×42", "200×2"])
        #expect(client.statistics.connects == 1, "a refusal is no fault of the connection")
        #expect(
            reading.reader.fit.samples + reading.reader.fit.outliers > 20, "every answer was alone on the connection")
        await client.close()
        await server.stop()
    }

    @Test("without an answer before the deadline every span has its error, and nothing is learnt")
    func deadline() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
        let reading = AdaptiveReading(try AdaptiveReader(spans))
        let results = await client.read(reading, deadline: .now() - .seconds(1))
        #expect(results.values(.holdingRegisters, AddressRange(10))?.failure?.code == .timedOut(.queue))
        #expect(!results.hasData && results.firstError?.code == .timedOut(.queue))
        #expect(reading.reader.limits.refused.isEmpty)
        await client.close()
        await server.stop()
    }

    @Test("several tasks share what one of them learnt")
    func shared() async throws {
        let device = ServedDevice(LimitedDevice(missing: [20]))
        let server = ModbusServer(device: device)
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
        let reading = AdaptiveReading(try AdaptiveReader(spans, followsCost: false))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let results = await client.read(reading, deadline: .now() + .seconds(30))
                    return spans.allSatisfy { results.values($0.table, $0.range)?.failure == nil }
                }
            }
            for await isComplete in group { #expect(isComplete) }
        }
        await client.close()
        await server.stop()
    }

    @Test("the time of an answer is measured while its request is alone on the connection, and only then")
    func roundTrips() throws {
        let reads = [UInt16(0), 10, 20].map {
            PlannedRead(table: .holdingRegisters, range: AddressRange($0), filler: 0)
        }
        var story = ClientStory.connected { $0.window = 1 }
        story.submit(1, .plan(reads))
        for milliseconds in [5, 6, 7] {
            story.pass(.milliseconds(Int64(milliseconds)))
            story.answer()
        }
        #expect(story.outcomes[1]?.roundTrips == [.milliseconds(5), .milliseconds(6), .milliseconds(7)])
        story = ClientStory.connected { $0.window = 2 }
        story.submit(1, .plan(reads))
        for _ in reads { story.answer() }
        #expect(story.outcomes[1]?.roundTrips == [nil, nil, nil])
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
