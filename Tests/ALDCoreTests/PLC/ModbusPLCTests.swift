import ALDTestKit
import Modbus
import Synchronization
import Testing

@testable import ALDCore

/// What a controller's answers over Modbus TCP mean for whoever writes.
@Suite("A controller over Modbus", .timeLimit(.minutes(5))) struct ModbusPLCTests {
    /// A machine that answers every request, or every write, with an exception, after it has executed it.
    private final class Excepting: ModbusDevice {
        let machine: SimulatedPLC
        private let state = Mutex<(code: ExceptionCode, reads: Bool)?>(nil)

        init(_ machine: SimulatedPLC) { self.machine = machine }

        func answer(with code: ExceptionCode, alsoReads: Bool = false) {
            state.withLock { $0 = (code, alsoReads) }
        }

        func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
            let response = try machine.respond(to: request, unit: unit)
            if let state = state.withLock(\.self), request.isWrite || state.reads { throw ModbusException(state.code) }
            return response
        }
    }

    private static func with(
        _ body: (_ plc: ModbusPLC, _ device: Excepting, _ heater: ParameterID) async throws -> Void
    ) async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let device = Excepting(SimulatedPLC(map, seed: 1))
        let server = ModbusServer(device: device, logger: TestDatabase.quiet)
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: try await server.start())
        // Busy is answered for ever here; who asks again is tested elsewhere.
        configuration.repeatsRequests = false
        let client = try ModbusClient(configuration: configuration)
        try await withCleanup {
            try await body(
                try ModbusPLC(map, client: client), device, try map.parameter(named: "Chamber Heater.temperature").id)
        } cleanup: {
            await client.close()
            await server.stop()
        }
    }

    private static var deadline: MonotonicInstant { SystemTime().now + .seconds(60) }

    @Test("a no is a refusal, not now is tried again, and of everything else nobody knows what it left behind")
    func exceptions() async throws {
        try await Self.with { plc, device, heater in
            for code in [1, 2, 3, 4, 5, 6, 7, 8, 0x0A, 0x0B, 0x99] as [UInt8] {
                let exception = ExceptionCode(rawValue: code)
                device.answer(with: exception)
                let failure = await plc.tryWriting(SetPoint(heater, 40 + Double(code)), by: Self.deadline)
                switch failure {
                case .refused(let reason):
                    #expect([1, 2, 3, 0x0A].contains(code) && reason.contains("\(exception)"), "\(code): \(reason)")
                case .unreachable(let reason):
                    #expect(code == 6 && reason.contains("\(exception)"), "\(code): \(reason)")
                case .unknownOutcome(let reason):
                    #expect([4, 5, 7, 8, 0x0B, 0x99].contains(code) && reason.contains("\(exception)"), "\(code)")
                case nil: Issue.record("\(code) was written")
                }
            }
        }
    }

    @Test("a read changes nothing, so that no exception leaves a doubt")
    func reads() async throws {
        try await Self.with { plc, device, heater in
            for code in [2, 4, 5, 0x99] as [UInt8] {
                device.answer(with: ExceptionCode(rawValue: code), alsoReads: true)
                let read = await plc.tryReading(heater, by: Self.deadline)
                guard case .failure(.refused) = read else {
                    Issue.record("\(code) ended as \(read)")
                    continue
                }
                let silence = await plc.tryReaching(heater, by: Self.deadline)
                #expect(silence == nil, "a device that says no is there: \(code)")
            }
            // It is the gateway that answers, for a device that does not.
            for code in [0x0A, 0x0B] as [UInt8] {
                device.answer(with: ExceptionCode(rawValue: code), alsoReads: true)
                let read = await plc.tryReading(heater, by: Self.deadline)
                guard case .failure(.unreachable) = read else {
                    Issue.record("\(code) ended as \(read)")
                    continue
                }
                let silence = await plc.tryReaching(heater, by: Self.deadline)
                #expect(silence?.isEmpty == false)
            }
        }
    }
}
