import ALDTestKit
import Modbus
import Testing

@testable import ALDCore

@Suite("Generated machines", .background, .timeLimit(.minutes(30))) struct GeneratedMachineTests {
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

    /// The free addresses before each parameter of each table, in the order of the addresses; the first's are left out.
    private func gaps(_ layout: GeneratedMachine.Layout, parameters: Int) throws -> [[Int]] {
        let map = try GeneratedMachine.registerMap(parameters: parameters, seed: 11, layout: layout)
        var places: [DataTable: [Range<Int>]] = [:]
        for parameter in map.parameters {
            for place in Set([parameter.readLocation, parameter.writeLocation ?? parameter.readLocation]) {
                let start = Int(place.address)
                places[place.table, default: []].append(
                    start..<(start + parameter.dataType.addressCount(in: place.table)))
            }
        }
        return places.values.map { ranges in
            let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
            return zip(sorted, sorted.dropFirst()).map { $1.lowerBound - $0.upperBound }
        }
    }

    @Test("every layout has the gaps that its name promises")
    func gaps() throws {
        #expect(try gaps(.dense, parameters: 500).allSatisfy { $0.allSatisfy { $0 == 0 } })
        for (layout, allowed) in [(GeneratedMachine.Layout.holes, 0...20), (.sparse, 5...120)] {
            let gaps = try gaps(layout, parameters: 500).flatMap(\.self)
            #expect(gaps.min() == allowed.lowerBound && gaps.max() == allowed.upperBound, "\(layout)")
        }
        var groups: [Int] = []
        for gaps in try gaps(.clustered, parameters: 1000) {
            let wide = gaps.indices.filter { gaps[$0] > 0 }
            #expect(wide.allSatisfy { (16...48).contains(gaps[$0]) })
            // The last group of a table may be shorter.
            groups += zip(wide, wide.dropFirst()).map { $1 - $0 }
        }
        #expect(groups.count > 20 && groups.allSatisfy { (8...16).contains($0) }, "\(groups)")
    }
}
