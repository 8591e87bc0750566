import ALDTestKit
import Modbus
import NIOCore
import Synchronization
import Testing

@testable import ALDCore

@Suite("The machine as a real controller", .timeLimit(.minutes(5))) struct ServedMachineTests {
    @Test("after a restart its set points are those of the map, and whoever reads it goes on without help")
    func restart() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let machine = SimulatedPLC(map, seed: 7)
        let heater = try map.parameter(named: "Chamber Heater.temperature").id
        let restarts = Mutex(0)
        var behavior = DeviceBehavior(faults: FaultInjector())
        behavior.timing.perRequest = .microseconds(100)
        behavior.deviceDidReboot = { restarts.withLock { $0 += 1 } }
        let server = machine.makeServer(behavior: behavior)
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
        let address = try #require(map[heater]?.writeLocation?.address)
        let range = try #require(AddressRange(start: address, count: 2))
        func setPoint() async throws -> ReadData {
            try await client.read(.holdingRegisters, range, deadline: .now() + .seconds(60))
        }

        let initial = try await setPoint()
        try await machine.write(500, to: heater, deadline: SystemTime().now + .seconds(60))
        #expect(try await setPoint() != initial)
        await server.strike(.reboot(.milliseconds(1)))
        try await eventually("it has restarted") { restarts.withLock { $0 } == 1 }
        #expect(try await setPoint() == initial)
        await client.close()
        await server.stop()
    }
}
