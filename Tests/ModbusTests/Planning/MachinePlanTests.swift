import Testing

@testable import Modbus

/// The read addresses of the ALD machine with 51 parameters.
private let doubleWords: [UInt16] = [
    2018, 2034, 2054, 2110, 2132, 2146, 2172, 2082, 2060, 2072, 2002, 2022, 2042, 2116, 2134, 2154, 2174, 2182, 2184,
    2186, 2188, 2190, 2192, 2194, 2196,
]
private let coils: [UInt16] = [
    0, 2, 4, 23, 25, 27, 29, 1, 3, 5, 24, 26, 28, 30, 38, 37, 10, 11, 15, 16, 17, 18, 19, 20,
]
private let discreteInputs: [UInt16] = [35, 36]

@Suite("The plan for the machine with 51 parameters", .background)
struct MachinePlanTests {
    private let spans =
        doubleWords.map { ReadSpan(.inputRegisters, AddressRange(first: $0, last: $0 + 1)) }
        + coils.map { ReadSpan(.coils, AddressRange($0)) }
        + discreteInputs.map { ReadSpan(.discreteInputs, AddressRange($0)) }

    /// A greedy planner fills the first request as far as 125 allows (2002×116, 2132×66: 182 registers). Cutting at
    /// the widest gap instead takes as many requests and 12 registers less.
    @Test("four requests read all of it, cut where the gap is widest")
    func fourRequests() throws {
        #expect(spans.count == 51)
        let plan = try ReadPlanner().plan(spans)
        #expect(
            plan.requests.map { "\($0.table) \($0.range)" } == [
                "input registers 2002×82", "input registers 2110×88", "coils 0×39", "discrete inputs 35×2",
            ])
        #expect(
            plan.explain() == """
                4 requests, 170 registers (120 filler), 41 bits (15 filler), 36 % wanted
                  1  04 read input registers  2002×82  64 filler
                  2  04 read input registers  2110×88  56 filler
                  3  01 read coils            0×39     15 filler
                  4  02 read discrete inputs  35×2
                """)
    }

    @Test("every value comes back from the request that read it, and only from there")
    func lookUp() throws {
        let plan = try ReadPlanner().plan(spans)
        let results = plan.requests.map { read -> Result<ReadData, ModbusError> in
            let addresses = Int(read.range.start)..<read.range.end
            return .success(
                read.table.isBits
                    ? .bits(addresses.map { $0 % 3 == 0 }) : .registers(addresses.map { UInt16($0) }))
        }
        let result = PlanResult(plan: plan, results: results)
        #expect(result.isComplete)
        #expect(
            try result.values(.inputRegisters, AddressRange(first: 2116, last: 2117))?.get()
                == .registers([2116, 2117])
        )
        #expect(try result.register(.inputRegisters, at: 2196)?.get() == 2196)
        #expect(try result.bit(.coils, at: 37)?.get() == false)
        #expect(try result.bit(.coils, at: 27)?.get() == true)
        #expect(result.bit(.coils, at: 39) == nil)
        #expect(result.values(.inputRegisters, AddressRange(first: 2083, last: 2110)) == nil)
        #expect(result.register(.holdingRegisters, at: 2018) == nil)
    }

    @Test("a request that failed fails its values, and the others keep theirs")
    func partialFailure() throws {
        let plan = try ReadPlanner().plan([
            ReadSpan(.coils, AddressRange(7)), ReadSpan(.inputRegisters, AddressRange(8)),
        ])
        let lost = ModbusError(.timedOut(.reply))
        let result = PlanResult(plan: plan, results: [.failure(lost), .success(.registers([42]))])
        #expect(result.bit(.coils, at: 7) == .failure(lost))
        #expect(result.register(.inputRegisters, at: 8) == .success(42))
        #expect(!result.isComplete && result.firstError == lost)
    }
}
