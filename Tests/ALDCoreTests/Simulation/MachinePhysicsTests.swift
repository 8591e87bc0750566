import ALDTestKit
import Modbus
import Testing

@testable import ALDCore

/// The machine of 51 parameters, driven by name on a clock that the test moves.
private struct Rig {
    let time = ManualTime()
    let map: RegisterMap
    let machine: SimulatedPLC

    init(seed: UInt64 = 7, _ own: RegisterMap? = nil) throws {
        map = try own ?? RegisterMap(file: Repository.machine51)
        machine = SimulatedPLC(map, seed: seed, time: time)
    }

    func write(_ value: Double, to name: String) async throws {
        try await machine.write(value, to: map.parameter(named: name).id, deadline: time.now)
    }

    func value(_ name: String) async throws -> Double {
        let id = try map.parameter(named: name).id
        let reading = try await machine.scan(deadline: time.now).readings.first { $0.parameter == id }
        return try #require(reading?.value)
    }

    func setPoint(_ name: String) async throws -> Double {
        try await machine.readSetPoint(of: map.parameter(named: name).id, deadline: time.now)
    }

    func pass(_ seconds: Double) { time.advance(by: .seconds(seconds)) }

    func values() async throws -> [Double?] { try await machine.scan(deadline: time.now).readings.map(\.value) }
}

@Suite("The machine's physics", .background) struct MachinePhysicsTests {
    @Test("polled ten times a second or once, the machine is the same at the common instants")
    func pollingRate() async throws {
        let (often, seldom) = (try Rig(), try Rig())
        for rig in [often, seldom] {
            try await rig.write(400, to: "Chamber Heater.temperature")
            try await rig.write(1, to: "Vacuum Pump.power_on")
        }
        for second in 1...30 {
            for _ in 0..<10 {
                often.pass(0.1)
                _ = try await often.values()
            }
            seldom.pass(1)
            #expect(try await often.values() == seldom.values(), "second \(second)")
        }
    }

    @Test("a heater covers exactly ten per cent per second beneath its noise of half a per cent, then one per cent")
    func noiseBounds() async throws {
        let rig = try Rig()
        try await rig.write(1000, to: "Chamber Heater.temperature")
        var (expected, widestAtRest) = (25.0, 0.0)
        for _ in 1...200 {
            rig.pass(1)
            expected += 0.1 * (1000 - expected)
            let noise = abs(try await rig.value("Chamber Heater.temperature") - expected)
            #expect(noise <= (1000 - expected > 10 ? 5.000001 : 10.000001))
            if 1000 - expected <= 10 { widestAtRest = max(widestAtRest, noise) }
        }
        #expect(widestAtRest > 5, "at the set point the noise is wider than on the way")
    }

    @Test("a heater's output is full while it heats, holds the temperature at the set point, and is nothing when off")
    func heaterOutput() async throws {
        let rig = try Rig()
        #expect(try await rig.value("Chamber Heater.pid_output") == 0)
        try await rig.write(1, to: "Chamber Heater.power_on")
        try await rig.write(512.5, to: "Chamber Heater.temperature")
        rig.pass(1)
        #expect(try await rig.value("Chamber Heater.pid_output") == 100)
        rig.pass(120)
        // Half way between 25 and 1000 needs half the power, give or take twice the noise of 1 %.
        #expect(abs(try await rig.value("Chamber Heater.pid_output") - 50) <= 2.1)
        try await rig.write(0, to: "Chamber Heater.power_on")
        #expect(try await rig.value("Chamber Heater.pid_output") == 0)
        rig.pass(120)
        #expect(abs(try await rig.value("Chamber Heater.temperature") - 25) <= 10.1, "it has cooled down")
        #expect(try await rig.setPoint("Chamber Heater.temperature") == 512.5)
        try await rig.write(1, to: "Chamber Heater.power_on")
        rig.pass(120)
        #expect(abs(try await rig.value("Chamber Heater.temperature") - 512.5) <= 10.1)
    }

    @Test("the gauges react to pump, gate, flow and valves")
    func chamber() async throws {
        let rig = try Rig()
        func pressure() async throws -> Double { try await rig.value("Pressure Gauge 1.pressure") }
        rig.pass(60)
        #expect(abs(try await pressure() - 0.01) <= 0.0001, "nothing goes in or out")
        try await rig.write(100, to: "MFC 1.flow")
        rig.pass(10)
        #expect(try await pressure() > 900, "nobody pumps")
        try await rig.write(1, to: "Vacuum Pump.power_on")
        rig.pass(10)
        let behindTheGate = try await pressure()
        #expect(behindTheGate > 1800, "the pump runs behind a closed gate")
        try await rig.write(1, to: "Exhaust Gate Valve.valve_state")
        rig.pass(60)
        let flowing = try await pressure()
        #expect(abs(flowing - 100) <= 1.2, "100 sccm against the pump")
        try await rig.write(1, to: "Valve 1.valve_state")
        rig.pass(60)
        #expect(abs(try await pressure() - 120) <= 1.4, "and a dose")
        try await rig.write(0, to: "Valve 1.valve_state")
        try await rig.write(0, to: "MFC 1.flow")
        rig.pass(60)
        #expect(abs(try await pressure() - 0.01) <= 0.0002, "pumped down")
        let other = try await rig.value("Pressure Gauge 2.pressure")
        #expect(try await other != pressure() && abs(other - 0.01) <= 0.0002, "one chamber, two gauges")
    }

    @Test("purging raises the pressure; a flow that is switched off falls to the lower end of its range")
    func purgeAndFlow() async throws {
        func parameter(
            _ id: UInt16, _ component: String, _ name: String, unit: String = "", _ range: ClosedRange<Double> = 0...1,
            isWritable: Bool = true, initial: Double = 0
        ) -> Parameter {
            let isSwitch = range == 0...1
            return Parameter(
                id: ParameterID(rawValue: Int32(id)), component: component, name: name, unit: unit, range: range,
                dataType: isSwitch ? .binary : .float32,
                readLocation: RegisterLocation(table: isSwitch ? .coils : .inputRegisters, address: 2 * id),
                writeLocation: isWritable
                    ? RegisterLocation(table: isSwitch ? .coils : .holdingRegisters, address: 2 * id) : nil,
                initialValue: initial)
        }
        let rig = try Rig(
            try RegisterMap(parameters: [
                parameter(1, "Purge", "on"), parameter(2, "Pump", "on"),
                parameter(3, "Gauge", "pressure", unit: "Pa", 0...1000, isWritable: false, initial: 1),
                parameter(4, "MFC", "flow", unit: "sccm", 10...200, initial: 50), parameter(5, "MFC", "power_on"),
            ]))
        try await rig.write(10, to: "MFC.flow")
        try await rig.write(1, to: "Pump.on")
        rig.pass(60)
        // What comes in slows down towards 1000 Pa, the upper end: (1·1 + 10) / (1 + 10 / 1000), give or take 1 %.
        #expect(abs(try await rig.value("Gauge.pressure") - 11 / 1.01) <= 0.12)
        try await rig.write(1, to: "Purge.on")
        rig.pass(60)
        #expect(abs(try await rig.value("Gauge.pressure") - 211 / 1.21) <= 1.8)
        try await rig.write(0, to: "Purge.on")
        try await rig.write(150, to: "MFC.flow")
        try await rig.write(0, to: "MFC.power_on")
        rig.pass(120)
        #expect(abs(try await rig.value("MFC.flow") - 10) <= 1.9, "not to 50, where it began")
        #expect(try await rig.setPoint("MFC.flow") == 150)
    }

    @Test("no noise leads out of a parameter's range")
    func range() async throws {
        let rig = try Rig()
        try await rig.write(1000, to: "Chamber Heater.temperature")
        var highest = 0.0
        for _ in 0..<200 {
            rig.pass(1)
            highest = max(highest, try await rig.value("Chamber Heater.temperature"))
        }
        #expect(highest == 1000, "half of the noise would lie above")
    }

    @Test("after a reboot a power switch that nobody has touched holds nothing back")
    func rebootForgetsSwitches() async throws {
        let rig = try Rig()
        try await rig.write(1, to: "Chamber Heater.power_on")
        try await rig.write(0, to: "Chamber Heater.power_on")
        rig.machine.reboot()
        try await rig.write(600, to: "Chamber Heater.temperature")
        rig.pass(120)
        #expect(abs(try await rig.value("Chamber Heater.temperature") - 600) <= 10.1)
    }

    @Test("a generator is ready ten seconds after it was switched on, and not any more when it is off")
    func ready() async throws {
        let rig = try Rig()
        try await rig.write(1, to: "Nitrogen Generator.power_on")
        rig.pass(9.9)
        #expect(try await rig.value("Nitrogen Generator.ready") == 0)
        rig.pass(0.1)
        try await rig.write(1, to: "Nitrogen Generator.power_on")
        #expect(try await rig.value("Nitrogen Generator.ready") == 1, "switching on what is on changes nothing")
        try await rig.write(0, to: "Nitrogen Generator.power_on")
        #expect(try await rig.value("Nitrogen Generator.ready") == 0)
    }

    @Test("a value without a set point wanders slowly, by at most one per cent of its range per second")
    func wander() async throws {
        let rig = try Rig()
        var (last, lowest, highest) = (25.0, 25.0, 25.0)
        for _ in 0..<1000 {
            rig.pass(1)
            let value = try await rig.value("Valve Heater 1.temperature")
            #expect(abs(value - last) <= 2.5)
            (last, lowest, highest) = (value, min(lowest, value), max(highest, value))
        }
        #expect(highest - lowest > 5, "it does not stand still")
    }

    @Test("a reboot puts back set points and switches; heat stays in the machine")
    func reboot() async throws {
        let rig = try Rig()
        try await rig.write(600, to: "Chamber Heater.temperature")
        try await rig.write(1, to: "Valve 2.valve_state")
        rig.pass(120)
        rig.machine.reboot()
        #expect(try await rig.setPoint("Chamber Heater.temperature") == 25)
        #expect(try await rig.value("Valve 2.valve_state") == 0)
        #expect(try await rig.value("Chamber Heater.temperature") > 580)
        rig.pass(120)
        #expect(try await rig.value("Chamber Heater.temperature") < 36)
    }

    @Test("the same seed and the same writes at the same times give the same bits, on every platform")
    func golden() throws {
        let rig = try Rig(seed: 2026)
        func ask(_ request: ModbusRequest) throws -> [UInt16] {
            guard case .registers(_, let words) = try rig.machine.respond(to: request, unit: .one) else { return [] }
            return words
        }
        var digest: UInt64 = 0xCBF2_9CE4_8422_2325
        let (low, high) = (
            try #require(AddressRange(start: 2002, count: 116)), try #require(AddressRange(start: 2132, count: 66))
        )
        for round in 0..<100 {
            rig.pass(0.7)
            switch round {
            case 5: _ = try ask(.writeRegisters(start: 2000, values: [0x0000, 0x43FA]))  // 500 °C
            case 10: _ = try ask(.writeCoil(address: 10, value: true))
            case 15: _ = try ask(.writeRegisters(start: 2086, values: [0x0000, 0x42C8]))  // 100 sccm
            case 40: _ = try ask(.writeCoils(start: 11, values: [true]))
            case 70: _ = try ask(.writeCoil(address: 0, value: false))
            default: break
            }
            for word in try ask(.read(.inputRegisters, low)) + ask(.read(.inputRegisters, high)) {
                digest = (digest ^ UInt64(word)) &* 0x100_0000_01B3
            }
        }
        #expect(digest == 0xFE29_781A_619E_D674, "\(String(digest, radix: 16))")
    }

    @Test(
        "roles are found from names, units and types",
        arguments: [
            ("Chamber Heater.temperature", MachineRole.heater), ("Chamber Heater.pid_output", .heaterOutput),
            ("Chamber Heater.power_on", .power), ("Chamber Heater.autotune_on", .other), ("MFC 1.flow", .massFlow),
            ("MFC 1.power_on", .power), ("Pressure Gauge 2.pressure", .gauge), ("Vacuum Pump.power_on", .pump),
            ("Exhaust Gate Valve.valve_state", .gateValve), ("Valve 6.valve_state", .processValve),
            ("Nitrogen Generator.ready", .ready), ("Nitrogen Generator.fault_status", .other),
            ("Valve Heater 1.temperature", .other),
        ])
    func roles(name: String, role: MachineRole) throws {
        let map = try RegisterMap(file: Repository.machine51)
        #expect(MachineRole(of: try map.parameter(named: name)) == role)
    }

    @Test("a role that lacks its counterpart is none")
    func incomplete() throws {
        let map = try RegisterMap(file: Repository.machine51).restricted(
            to: ["Pressure Gauge 1.pressure", "Chamber Heater.pid_output", "Nitrogen Generator.ready", "MFC 1.flow"])
        #expect(MachineLayout(map.parameters).roles == [.massFlow, .other, .other, .other])
    }

    @Test("what is named like a state, has a small range or is a setting does not fluctuate")
    func fluctuation() {
        func parameter(_ name: String, to top: Double = 100, setting: Bool = false) -> Parameter {
            let place = RegisterLocation(table: .holdingRegisters, address: 0)
            return Parameter(
                id: ParameterID(rawValue: 1), component: "A", name: name, range: 0...top, dataType: .float32,
                readLocation: place, writeLocation: setting ? place : nil)
        }
        #expect(MachineRole.fluctuates(parameter("concentration")))
        #expect(!MachineRole.fluctuates(parameter("control_mode")))
        #expect(!MachineRole.fluctuates(parameter("Position")))
        #expect(!MachineRole.fluctuates(parameter("ratio", to: 1)))
        #expect(!MachineRole.fluctuates(parameter("gain", setting: true)))
    }
}
