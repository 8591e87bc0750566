import ALDTestKit
import Modbus
import Testing

@testable import ALDCore

@Suite("Generated machines", .background, .timeLimit(.minutes(5))) struct GeneratedMachineTests {
    static let sizes = [10, 50, 84, 100, 200, 500, 1000, 5000]

    @Test(
        "the same arguments give the same machine, another seed another one",
        arguments: GeneratedMachine.Layout.allCases)
    func deterministic(layout: GeneratedMachine.Layout) throws {
        let map = try GeneratedMachine.registerMap(parameters: 200, seed: 3, layout: layout)
        #expect(try GeneratedMachine.registerMap(parameters: 200, seed: 3, layout: layout).parameters == map.parameters)
        #expect(try GeneratedMachine.registerMap(parameters: 200, seed: 4, layout: layout).parameters != map.parameters)
    }

    @Test("every size has every data type, all four tables, and what can be written", arguments: sizes)
    func mixture(size: Int) throws {
        let parameters = try GeneratedMachine.registerMap(parameters: size, seed: 1).parameters
        #expect(parameters.count == size)
        #expect(Set(parameters.map(\.dataType)) == Set(DataType.allCases))
        let tables = parameters.flatMap { [$0.readLocation.table, $0.writeLocation?.table] }.compactMap(\.self)
        #expect(Set(tables) == Set(DataTable.allCases))
        let writable = parameters.count(where: \.isWritable)
        #expect(writable > size / 4 && writable < size)
        #expect(parameters.allSatisfy { $0.range.contains($0.initialValue) })
    }

    @Test("the largest machines fit in every layout", arguments: GeneratedMachine.Layout.allCases)
    func largest(layout: GeneratedMachine.Layout) throws {
        let top = GeneratedMachine.sizes.upperBound
        #expect(try GeneratedMachine.registerMap(parameters: top, seed: 1, layout: layout).parameters.count == top)
        for wrong in [0, -1, top + 1] {
            #expect(throws: ConfigurationProblems.self) {
                try GeneratedMachine.registerMap(parameters: wrong, seed: 1, layout: layout)
            }
        }
    }

    @Test(
        "every size in every layout can be planned, and the simulation serves every request of the plan",
        arguments: sizes, GeneratedMachine.Layout.allCases)
    func served(size: Int, layout: GeneratedMachine.Layout) async throws {
        let map = try GeneratedMachine.registerMap(parameters: size, seed: 5, layout: layout, wordOrder: .abcd)
        let time = ManualTime()
        let machine = SimulatedPLC(map, seed: 5, time: time)
        time.advance(by: .seconds(12.3))
        var words: [RegisterLocation: UInt16] = [:]
        for request in try ReadPlanner().plan(map.readSpans).requests {
            let (table, range) = (request.table, request.range)
            let values: [UInt16] =
                switch try machine.respond(to: .read(table, range), unit: .one) {
                case .registers(_, let registers): registers
                case .bits(_, let bits): bits.map { $0 ? 1 : 0 }
                default: []
                }
            for (offset, value) in values.enumerated() {
                words[RegisterLocation(table: table, address: range.start + UInt16(offset))] = value
            }
        }
        let readings = try await machine.scan(deadline: time.now).readings
        for (parameter, reading) in zip(map.parameters, readings) {
            let place = parameter.readLocation
            let registers = (0..<parameter.dataType.addressCount(in: place.table)).compactMap {
                words[RegisterLocation(table: place.table, address: place.address + UInt16($0))]
            }
            let value = try #require(reading.value)
            let expected = parameter.dataType.encode(value, order: .abcd)
            #expect(registers == expected, "\(parameter.qualifiedName) of \(size), \(layout)")
        }
    }
}
