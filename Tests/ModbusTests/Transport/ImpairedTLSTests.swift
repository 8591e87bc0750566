import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

/// Far enough away that only a hang reaches it.
private func patience() -> NIODeadline {
    .now() + .seconds(60)
}

@Suite("A device that is not ideal, behind TLS", .timeLimit(.minutes(2)))
struct ImpairedTLSTests {
    private func makeServer(
        _ behavior: DeviceBehavior, device: any ModbusDevice = MemoryDevice(),
        authorization: ModbusAuthorization? = nil
    ) -> ModbusServer {
        var configuration = ModbusServer.Configuration()
        configuration.tls = ModbusTLS.Server(
            identity: TLSFiles.identity("server"), clients: .mustBeSigned(by: TLSFiles.authority))
        configuration.tls?.handshakeTimeout = .seconds(30)
        return ModbusServer(
            configuration: configuration, device: device, behavior: behavior, authorization: authorization)
    }

    private func makeClient(_ name: String = "operator", port: Int) throws -> ModbusClient {
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: port)
        configuration.tls = ModbusTLS.Client(trust: TLSFiles.authority, identity: TLSFiles.identity(name))
        configuration.connectTimeout = .seconds(30)
        return try ModbusClient(configuration: configuration)
    }

    @Test("roles hold for a slow device with a memory map, and many requests at once are all answered")
    func roles() async throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .microseconds(100)
        behavior.map = DeviceMap([.holdingRegisters: .init(readable: [AddressRange(first: 0, last: 99)])])
        let device = MemoryDevice()
        let server = makeServer(behavior, device: device) { role, request, _ in
            !request.isWrite || role == ModbusRole("Operator")
        }
        let port = try await server.start()
        let (nobody, allowed) = (try makeClient("nobody", port: port), try makeClient(port: port))
        let error = await #expect(throws: ModbusError.self) {
            try await nobody.write(coil: 0, true, deadline: patience())
        }
        #expect(error?.code == .exception(.illegalFunction, .writeSingleCoil) && device.writes == 0)
        try await allowed.write(registers: 0, [7], deadline: patience())
        await withTaskGroup(of: UInt16?.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    try? await allowed.read(.holdingRegisters, AddressRange(0), deadline: patience()).registers.first
                }
            }
            for await value in group { #expect(value == 7) }
        }
        let absent = await #expect(throws: ModbusError.self) {
            try await nobody.read(.holdingRegisters, AddressRange(100), deadline: patience())
        }
        #expect(absent?.code == .exception(.illegalDataAddress, .readHoldingRegisters))
        await nobody.close()
        await allowed.close()
        await server.stop()
        #expect(server.statistics.open == 0)
    }

    @Test(
        "every fault of a connection or of an answer ends, and the client reads the right value again",
        arguments: [
            Fault.connect(.refuse), .connect(.acceptThenClose), .connection(.finish), .connection(.reset),
            .connection(.halfClose),
            .connection(.reboot(.milliseconds(1))), .reply(.truncate(after: 5)), .reply(.wrongProtocol),
            .reply(.trickle(pause: .zero)), .reply(.junkBefore(40)),
        ])
    func healing(_ fault: Fault) async throws {
        let faults = FaultInjector()
        var rule = FaultRule("fault", fault)
        rule.times = 2
        try faults.add(rule)
        let server = makeServer(DeviceBehavior(faults: faults))
        let client = try makeClient(port: try await server.start())
        try await eventually("the fault has bitten twice and reading works") {
            let data = try? await client.read(.inputRegisters, AddressRange(7), deadline: patience())
            if let data { #expect(data.registers == [7]) }
            return data != nil && faults.count("fault") == 2
        }
        await client.close()
        await server.stop()
        #expect(server.statistics.open == 0)
        let known = try await server.impaired?.eventLoop.submit { server.impaired?.value.connectionCount }.get()
        #expect(known == 0)
    }
}
