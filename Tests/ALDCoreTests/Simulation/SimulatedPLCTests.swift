import ALDTestKit
import Modbus
import Testing

@testable import ALDCore

@Suite("Simulated machine") struct SimulatedPLCTests {
    let time = ManualTime()
    let machine: SimulatedPLC
    let map: RegisterMap

    init() throws {
        map = try RegisterMap(file: Repository.machine51)
        machine = SimulatedPLC(map, seed: 7, time: time)
    }

    private func value(of name: String) async throws -> Double? {
        let id = try map.parameter(named: name).id
        return try await machine.scan(deadline: time.now).readings.first { $0.parameter == id }?.value
    }

    private func ask(_ request: ModbusRequest) throws -> ModbusResponse {
        try machine.respond(to: request, unit: .one)
    }

    @Test("it starts with the map's initial values")
    func start() async throws {
        #expect(try await value(of: "Chamber Heater.temperature") == 25)
        #expect(try await value(of: "Valve 1.valve_state") == 0)
    }

    @Test("a heater covers ten per cent of the way per second, give or take its noise")
    func approach() async throws {
        let heater = try map.parameter(named: "Chamber Heater.temperature").id
        try await machine.write(500, to: heater, deadline: time.now)
        #expect(try await value(of: "Chamber Heater.temperature") == 25)
        time.advance(by: .seconds(1))
        let afterOne = try #require(try await value(of: "Chamber Heater.temperature"))
        // 25 + 10 % of 475 = 72.5; noise 0.5 % of 1000 on the way, 1 % at the set point.
        #expect(abs(afterOne - 72.5) <= 5)
        time.advance(by: .seconds(60))
        for _ in 0..<100 {
            time.advance(by: .milliseconds(100))
            let settled = try #require(try await value(of: "Chamber Heater.temperature"))
            #expect(abs(settled - 500) <= 10.9, "0.9 of the way is still to go at first")
        }
    }

    @Test("values depend on time and seed, not on how often somebody looks")
    func timeNotReads() async throws {
        let other = SimulatedPLC(map, seed: 7, time: time)
        for _ in 0..<10 {
            time.advance(by: .milliseconds(300))
            _ = try await machine.scan(deadline: time.now)
        }
        let often = try await machine.scan(deadline: time.now).readings
        #expect(try await other.scan(deadline: time.now).readings == often)
        let different = SimulatedPLC(map, seed: 8, time: ManualTime())
        #expect(try await different.scan(deadline: time.now).readings != often)
    }

    @Test("switches do not fluctuate and follow at once")
    func switches() async throws {
        let valve = try map.parameter(named: "Valve 3.valve_state").id
        time.advance(by: .seconds(30))
        #expect(try await value(of: "Valve 3.valve_state") == 0)
        try await machine.write(1, to: valve, deadline: time.now)
        #expect(try await value(of: "Valve 3.valve_state") == 1)
        #expect(try ask(.read(.coils, AddressRange(17))) == .bits(.coils, [true]))
    }

    @Test("a set point reads back exactly, as often as one likes")
    func setPoint() async throws {
        let flow = try map.parameter(named: "MFC 1.flow").id
        try await machine.write(12.5, to: flow, deadline: time.now)
        time.advance(by: .seconds(5))
        for _ in 0..<3 { #expect(try await machine.readSetPoint(of: flow, deadline: time.now) == 12.5) }
        // 12.5 is 0x41480000; the machine keeps the low word first.
        let range = try #require(AddressRange(start: 2086, count: 2))
        #expect(try ask(.read(.holdingRegisters, range)) == .registers(.holdingRegisters, [0x0000, 0x4148]))
    }

    @Test("holes between parameters read as zero, addresses outside do not exist")
    func memory() throws {
        let hole = try #require(AddressRange(start: 2004, count: 2))
        #expect(try ask(.read(.inputRegisters, hole)) == .registers(.inputRegisters, [0, 0]))
        #expect(throws: ModbusException.illegalDataAddress) {
            try ask(.read(.inputRegisters, AddressRange(2001)))
        }
        #expect(throws: ModbusException.illegalDataAddress) { try ask(.writeCoil(address: 12, value: true)) }
    }

    @Test("a write over Modbus changes all of its values or none")
    func atomicWrite() async throws {
        // Frontline heater at 2020: 100 °C is 0x42C80000. The second value of the block lies in a hole.
        #expect(throws: ModbusException.illegalDataAddress) {
            try ask(.writeRegisters(start: 2020, values: [0x0000, 0x42C8, 1, 1]))
        }
        let heater = try map.parameter(named: "Frontline Heater.temperature").id
        #expect(try await machine.readSetPoint(of: heater, deadline: time.now) == 25)
        _ = try ask(.writeRegisters(start: 2020, values: [0x0000, 0x42C8]))
        #expect(try await machine.readSetPoint(of: heater, deadline: time.now) == 100)
    }

    @Test("values outside a parameter's limits never reach the machine")
    func limits() async throws {
        let heater = try map.parameter(named: "Chamber Heater.temperature")
        for value in [-0.5, 1000.5, .nan, .infinity] {
            await #expect(throws: PLCError.self) {
                try await machine.write(value, to: heater.id, deadline: time.now)
            }
        }
        // 2000 °C is 0x44FA0000.
        #expect(throws: ModbusException.illegalDataValue) {
            try ask(.writeRegisters(start: 2000, values: [0x0000, 0x44FA]))
        }
        await #expect(throws: PLCError.self) {
            try await machine.write(1, to: map.parameter(named: "Pressure Gauge 1.pressure").id, deadline: time.now)
        }
        await #expect(throws: PLCError.self) {
            try await machine.write(1, to: ParameterID(rawValue: 99), deadline: time.now)
        }
        #expect(try await machine.readSetPoint(of: heater.id, deadline: time.now) == 25)
    }

    @Test("a write whose last value is out of its limits leaves the values before it alone")
    func allOrNothing() async throws {
        func setting(_ number: Int32, at address: UInt16) -> Parameter {
            let place = RegisterLocation(table: .holdingRegisters, address: address)
            return Parameter(
                id: ParameterID(rawValue: number), component: "A", name: "setting \(number)", range: 0...100,
                dataType: .int16, readLocation: place, writeLocation: place, initialValue: 5)
        }
        let map = try RegisterMap(parameters: (0..<3).map { setting(Int32($0) + 1, at: $0) }, wordOrder: .cdab)
        let machine = SimulatedPLC(map, seed: 1, time: time)
        for values: [UInt16] in [[7, 8, 101], [101, 7, 8], [7, 101, 8]] {
            #expect(throws: ModbusException.illegalDataValue) {
                try machine.respond(to: .writeRegisters(start: 0, values: values), unit: .one)
            }
            let readings = try await machine.scan(deadline: time.now).readings
            #expect(readings.map(\.value) == [5, 5, 5])
        }
    }
}
