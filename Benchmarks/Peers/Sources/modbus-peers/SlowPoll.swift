import Modbus
import NIOCore

/// The poll of 170 parameters from a device behind a line of 10 kbit/s, as planned for it, one request at a time. What it
/// took is compared with what the model of the line says that this plan, the best there is, must take.
struct SlowPoll {
    private static let bitsPerSecond = 10_000
    private static let polls = 3

    let roundTrip: Duration

    func run() async throws {
        var link = LinkModel(bitsPerSecond: Double(Self.bitsPerSecond))
        link.roundTrip = roundTrip
        var planner = ReadPlanner()
        planner.goal = link.sequential.goal
        let plan = try planner.plan(Self.parameters)

        var timing = DeviceTiming()
        timing.line = LineRate(bitsPerSecond: Self.bitsPerSecond)
        timing.latencyIn = .fixed(roundTrip / 2)
        timing.latencyOut = .fixed(roundTrip / 2)
        let server = ModbusServer(
            device: try TableDevice(.init(size: 10_000, pattern: .index)), behavior: DeviceBehavior(timing: timing))
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: try await server.start())
        configuration.window = 1
        let client = try ModbusClient(configuration: configuration)
        // Connecting is no part of a poll.
        _ = try await client.read(.holdingRegisters, AddressRange(0), deadline: .now() + .seconds(10))

        var times: [Duration] = []
        var wrong = 0
        for _ in 0..<Self.polls {
            let start = ContinuousClock.now
            let result = await client.run(plan, deadline: .now() + .seconds(60))
            times.append(ContinuousClock.now - start)
            for span in Self.parameters {
                let expected = (Int(span.range.start)..<span.range.end).map { UInt16($0) }
                let values = try result.values(span.table, span.range)?.get().registers
                if values != expected { wrong += 1 }
            }
        }
        await client.close()
        await server.stop()
        let measured = times.sorted()[Self.polls / 2] / .milliseconds(1)
        let model = link.time(of: plan) / .milliseconds(1)
        print(
            #"{"requests": \#(plan.requests.count), "registers": \#(plan.registerCount), "measured_ms": \#(measured), "#
                + #""model_ms": \#(model), "wrong": \#(wrong)}"#)
    }

    /// Of one, two and four registers in turn, with a hole of 30 behind every tenth.
    private static let parameters: [ReadSpan] = {
        var next: UInt16 = 0
        return (0..<170).compactMap { index in
            let count = [1, 2, 2, 4][index % 4]
            defer { next += UInt16(count) + (index % 10 == 9 ? 30 : 0) }
            return AddressRange(start: next, count: count).map { ReadSpan(.holdingRegisters, $0) }
        }
    }()
}
