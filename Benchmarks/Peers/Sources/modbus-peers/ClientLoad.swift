import Foundation
import Modbus
import NIOCore
import ProcessUse
import Synchronization

/// Our client, reading blocks of 125 holding registers from a server on which register i holds i. Every value is checked.
struct ClientLoad {
    static let block = 125
    static let blocks = 80

    let port: Int
    let seconds: Double
    let window: Int

    /// One plan again and again, as a recorder runs it. The caller is an ordinary task.
    func runPlans(of requests: Int) async throws {
        var planner = ReadPlanner()
        planner.allowsHoles = false
        let plan = try planner.plan(
            (0..<min(requests, Self.blocks)).map { ReadSpan(.holdingRegisters, Self.range($0)) })
        try await measure { client in
            let result = await client.run(plan, deadline: .now() + .seconds(10))
            var wrong = 0
            for (request, result) in zip(result.plan.requests, result.results) {
                wrong += try Self.isRight(result.get(), request.range) ? 0 : 1
            }
            return (plan.requests.count, wrong)
        }
    }

    /// As many tasks as the window is wide, each making one read after the other: on the client's executor, as a
    /// program should that makes many, or wherever they happen to run.
    func runSingleReads(onExecutor: Bool) async throws {
        try await measure { [window] client in
            try await withTaskExecutorPreference(onExecutor ? client.executor : nil) {
                try await Self.singleReads(client, window)
            }
        }
    }

    private static func singleReads(_ client: ModbusClient, _ window: Int) async throws -> (requests: Int, wrong: Int) {
        try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 0..<window {
                group.addTask {
                    var wrong = 0
                    for read in 0..<Self.blocks {
                        let range = Self.range((task + read) % Self.blocks)
                        let data = try await client.read(
                            .holdingRegisters, range, deadline: .now() + .seconds(10))
                        wrong += Self.isRight(data, range) ? 0 : 1
                    }
                    return wrong
                }
            }
            return (window * Self.blocks, try await group.reduce(0, +))
        }
    }

    private func measure(_ work: (ModbusClient) async throws -> (requests: Int, wrong: Int)) async throws {
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: port)
        configuration.window = window
        let client = try ModbusClient(configuration: configuration)
        let clock = ContinuousClock()
        var wrong = 0
        let warm = clock.now + .milliseconds(100)
        while clock.now < warm { wrong += try await work(client).wrong }
        var requests = 0
        let start = clock.now
        let busy = ProcessUse.processorSeconds
        let end = start + .seconds(seconds)
        while clock.now < end {
            let done = try await work(client)
            requests += done.requests
            wrong += done.wrong
        }
        let elapsed = (clock.now - start) / .seconds(1)
        let used = ProcessUse.processorSeconds - busy
        print(
            #"{"requests": \#(requests), "seconds": \#(elapsed), "cpu": \#(used), "#
                + #""rss": \#(ProcessUse.residentBytes), "wrong": \#(wrong)}"#)
        await client.close()
    }

    private static func range(_ index: Int) -> AddressRange {
        AddressRange(start: UInt16(index * block), count: block) ?? AddressRange(0)
    }

    private static func isRight(_ data: ReadData, _ range: AddressRange) -> Bool {
        guard case .registers(let values) = data, values.count == range.count else { return false }
        var expected = range.start
        for value in values {
            guard value == expected else { return false }
            expected &+= 1
        }
        return true
    }
}
