import ALDTestKit
import Logging
import Modbus
import NIOCore
import Testing

@testable import ALDCore

/// Forty set points one behind the other: every one takes two words, all of them fit into one request.
@Suite("Snapshots under concurrent writers", .timeLimit(.minutes(5))) struct SnapshotTests {
    static let count = 40
    /// Two numbers without a word in common, so that a torn value is neither: 3FC0 0001 and 42F6 E979.
    static let numbers = [Float(bitPattern: 0x3FC0_0001), Float(bitPattern: 0x42F6_E979)]

    private static func map() throws -> RegisterMap {
        try RegisterMap(parameters: (0..<count).map(parameter), wordOrder: .abcd)
    }

    private static func parameter(_ index: Int) -> Parameter {
        let address = UInt16(2 * index)
        return Parameter(
            id: ParameterID(rawValue: Int32(index + 1)), component: "Channel \(index)", name: "level", range: 0...200,
            dataType: .float32, readLocation: RegisterLocation(table: .inputRegisters, address: address),
            writeLocation: RegisterLocation(table: .holdingRegisters, address: address),
            initialValue: Double(numbers[0]))
    }

    private static func words(_ number: Float) -> [UInt16] {
        let bits = number.bitPattern
        return Array(repeating: [UInt16(bits >> 16), UInt16(bits & 0xFFFF)], count: count).flatMap(\.self)
    }

    @Test("over Modbus TCP nobody ever sees half of a value or half of a request's values")
    func overTheWire() async throws {
        let machine = SimulatedPLC(try Self.map(), seed: 1)
        let server = ModbusServer(device: machine, logger: TestDatabase.quiet)
        let port = try await server.start()
        let images = Self.numbers.map(Self.words)
        let range = try #require(AddressRange(start: 0, count: 2 * Self.count))
        let seen = try await withThrowingTaskGroup(of: [Int].self) { group in
            for writer in 0..<3 {
                group.addTask {
                    let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
                    for round in 0..<300 {
                        try await client.write(
                            registers: 0, images[(round + writer) % 2], deadline: .now() + .seconds(60))
                    }
                    await client.close()
                    return [0, 0]
                }
            }
            for _ in 0..<3 {
                group.addTask {
                    let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
                    var seen = [0, 0]
                    for _ in 0..<300 {
                        let data = try await client.read(.holdingRegisters, range, deadline: .now() + .seconds(60))
                        let image = try #require(images.firstIndex { data == .registers($0) }, "torn: \(data)")
                        seen[image] += 1
                    }
                    await client.close()
                    return seen
                }
            }
            return try await group.reduce([0, 0]) { [$0[0] + $1[0], $0[1] + $1[1]] }
        }
        #expect(seen[0] + seen[1] == 900)
        await server.stop()
    }

    @Test("calls in the same process and requests from the network see each other's writes whole")
    func mixed() async throws {
        let machine = SimulatedPLC(try Self.map(), seed: 1)
        let range = try #require(AddressRange(start: 0, count: 2))
        let legal = Self.numbers.map { Array(Self.words($0).prefix(2)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for round in 0..<2000 {
                        let number = Self.numbers[(round + worker) % 2]
                        if worker < 2 {
                            try await machine.write(
                                Double(number), to: ParameterID(rawValue: 1), deadline: .init(nanoseconds: .max))
                        } else {
                            let answer = try machine.respond(to: .read(.holdingRegisters, range), unit: .one)
                            guard case .registers(_, let words) = answer else { continue }
                            #expect(legal.contains(words))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("what is measured is read-only, also where it lies among registers that can be written")
    func protection() throws {
        let parameter = Parameter(
            id: ParameterID(rawValue: 1), component: "A", name: "level", range: 0...200, dataType: .int16,
            readLocation: RegisterLocation(table: .holdingRegisters, address: 0),
            writeLocation: RegisterLocation(table: .holdingRegisters, address: 1))
        let machine = SimulatedPLC(try RegisterMap(parameters: [parameter]), seed: 1, time: ManualTime())
        #expect(throws: ModbusException.illegalDataAddress) {
            try machine.respond(to: .writeRegister(address: 0, value: 5), unit: .one)
        }
        _ = try machine.respond(to: .writeRegister(address: 1, value: 5), unit: .one)
        _ = try machine.respond(to: .maskWriteRegister(address: 1, and: 0xFFF0, or: 0x000A), unit: .one)
        let both = try #require(AddressRange(start: 0, count: 2))
        let answer = try machine.respond(
            to: .readWriteRegisters(both, start: 1, values: [7]), unit: .one)
        #expect(answer == .registers(.holdingRegisters, [0, 7]))
    }
}
