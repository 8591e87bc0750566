import ALDCore
import ALDTestKit
import Modbus
import NIOCore
import Synchronization
import Testing

/// One function of Modbus in trouble, between the real client and the served machine.
@Suite("Fault proxy: a function of Modbus", .timeLimit(.minutes(5))) struct LostFunctionTests {
    /// Set points that were written.
    private final class Writes: Sendable {
        private let counted = Mutex(0)

        var count: Int { counted.withLock(\.self) }

        func add() { counted.withLock { $0 += 1 } }
    }

    private struct Plant {
        var proxy: FaultProxy
        var client: ModbusClient
        var writes: Writes

        /// Functions 03, 04 and 01, each once. What was read: a set point, a measured value, a switch.
        @discardableResult func read() async throws -> [ReadData] {
            var all: [ReadData] = []
            for table in [DataTable.holdingRegisters, .inputRegisters, .coils] {
                all.append(try await client.read(table, AddressRange(0), deadline: .now() + .seconds(60)))
            }
            return all
        }

        func write(_ function: FunctionCode, within limit: TimeAmount = .seconds(60)) async throws(ModbusError) {
            let deadline = NIODeadline.now() + limit
            switch function {
            case .writeSingleCoil: try await client.write(coil: 0, true, deadline: deadline)
            case .writeMultipleCoils: try await client.write(coils: 0, [true], deadline: deadline)
            case .writeSingleRegister: try await client.write(register: 0, 7, deadline: deadline)
            default: try await client.write(registers: 0, [7], deadline: deadline)
            }
        }

        /// Why nobody knows what became of a write.
        func doubt(_ function: FunctionCode, within limit: TimeAmount = .seconds(60)) async -> ModbusError.Doubt? {
            do throws(ModbusError) {
                try await write(function, within: limit)
                return nil
            } catch {
                guard case .unknownOutcome(let doubt) = error.code else { return nil }
                return doubt
            }
        }
    }

    /// A register and a coil that can be written, and what is measured of them.
    private static func map() throws -> RegisterMap {
        func parameter(_ id: Int32, _ type: DataType, _ read: DataTable, _ write: DataTable) -> Parameter {
            Parameter(
                id: ParameterID(rawValue: id), component: "A", name: "p\(id)", range: 0...(type == .binary ? 1 : 100),
                dataType: type, readLocation: RegisterLocation(table: read, address: 0),
                writeLocation: RegisterLocation(table: write, address: 0))
        }
        return try RegisterMap(parameters: [
            parameter(1, .int16, .inputRegisters, .holdingRegisters), parameter(2, .binary, .discreteInputs, .coils),
        ])
    }

    private func withPlant(_ body: (Plant) async throws -> Void) async throws {
        let writes = Writes()
        let machine = SimulatedPLC(try Self.map(), seed: 7) { _, _ in writes.add() }
        let server = machine.makeServer()
        let port = try await server.start()
        try await FaultProxy.run(to: .port(port)) { proxy in
            let client = try ModbusClient(
                configuration: .init(host: "127.0.0.1", port: proxy.port), logger: TestDatabase.quiet)
            try await withCleanup {
                try await body(Plant(proxy: proxy, client: client, writes: writes))
            } cleanup: {
                await client.close()
                await server.stop()
            }
        }
    }

    @Test(
        "reads go on, and a write whose answer is lost is in doubt: it was executed once and is not repeated",
        arguments: [
            FunctionCode.writeSingleCoil, .writeSingleRegister, .writeMultipleCoils, .writeMultipleRegisters,
        ], [StreamFaults.Ending.close, .reset])
    func answerLost(function: FunctionCode, ending: StreamFaults.Ending) async throws {
        try await withPlant { plant in
            let before = try await plant.read()
            plant.proxy.set(.cut(at: .modbus(function: function), ending), .downstream)
            try await plant.read()
            #expect(plant.proxy.evidence.bites == [:])
            #expect(await plant.doubt(function) == .connectionLost)
            #expect(plant.writes.count == 1)
            // Over a new connection, on which the fault is, too.
            let after = try await plant.read()
            let place = [.writeSingleCoil, .writeMultipleCoils].contains(function) ? 2 : 0
            #expect(after[place] != before[place] && plant.writes.count == 1)
            #expect(plant.proxy.evidence.bites == [.function: 1] && plant.proxy.evidence.cuts == 1)
            plant.proxy.heal()
            try await plant.write(function)
            #expect(plant.writes.count == 2 && plant.proxy.evidence.bites == [.function: 1])
        }
    }

    @Test("a write whose answer is swallowed was executed once, and its client is in doubt at the deadline")
    func answerSwallowed() async throws {
        try await withPlant { plant in
            try await plant.read()
            plant.proxy.set(.cut(at: .modbus(function: .writeSingleRegister), .timeout), .downstream)
            #expect(await plant.doubt(.writeSingleRegister, within: .seconds(5)) == .replyTimedOut)
            #expect(plant.writes.count == 1 && plant.proxy.evidence.bites == [.function: 1])
        }
    }

    @Test("a write that is lost on its way is in doubt as well, and was never executed")
    func requestLost() async throws {
        try await withPlant { plant in
            let before = try await plant.read()
            plant.proxy.set(.cut(at: .modbus(function: .writeSingleRegister), .reset), .upstream)
            #expect(await plant.doubt(.writeSingleRegister) == .connectionLost)
            let after = try await plant.read()
            #expect(after[0] == before[0] && plant.writes.count == 0)
            #expect(plant.proxy.evidence.bites == [.function: 1])
        }
    }

    @Test("another function than the one in trouble is not touched, nor is anything when the fault is for PostgreSQL")
    func untouched() async throws {
        try await withPlant { plant in
            for trigger in [FaultTrigger.modbus(function: .writeMultipleRegisters), .postgres(message: 6)] {
                for direction in FaultProxy.Direction.allCases {
                    plant.proxy.set(.cut(at: trigger, .reset), direction)
                }
                try await plant.write(.writeSingleRegister)
                try await plant.read()
            }
            #expect(plant.writes.count == 2 && plant.proxy.evidence.bites == [:])
        }
    }
}
