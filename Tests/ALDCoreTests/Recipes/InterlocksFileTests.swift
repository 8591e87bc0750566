import ALDTestKit
import Testing

@testable import ALDCore

/// Interlocks as people write them, and who is kept from what.
@Suite struct InterlocksFileTests {
    let map: RegisterMap
    let soon = MonotonicInstant(nanoseconds: .max)

    init() throws {
        map = try RegisterMap(file: Repository.machine51)
    }

    func valve(_ number: Int32) -> ParameterID { ParameterID(rawValue: 28 + number) }

    @Test func everythingIsRead() throws {
        let text = """
            exclusive:
              - [Valve 1.valve_state, Valve 2.valve_state]
            maximum_open:
              Valve 1.valve_state: 5s
            default_maximum_open: 30s
            safe_state:
              - Valve 1.valve_state: 0
              - MFC 1.flow: 20
            """
        #expect(
            try Interlocks(text: text, name: "i.yaml", map: map)
                == Interlocks(
                    exclusiveGroups: [[valve(1), valve(2)]], maximumOpen: [valve(1): .seconds(5)],
                    defaultMaximumOpen: .seconds(30),
                    safeState: [SetPoint(valve(1), 0), SetPoint(ParameterID(rawValue: 8), 20)]))
    }

    static let wrong: [(String, String)] = [
        ("exclusive: [[Valve 9.valve_state]]", "i.yaml:1: unknown parameter \"Valve 9.valve_state\""),
        ("exclusive: 3", "i.yaml:1: expected a list"),
        ("safe: []", "i.yaml:1: `safe` is not known here"),
        ("maximum_open: {Valve 1.valve_state: often}", "i.yaml:1: `Valve 1.valve_state` is no time"),
        ("safe_state: [{MFC 1.flow: 500}]", "i.yaml: safe state: 500.0 sccm is outside"),
        ("safe_state: [MFC 1.flow]", "i.yaml:1: expected `- parameter: value`"),
        ("- 1", "i.yaml: expected `exclusive:`"),
    ]

    @Test(arguments: wrong) func eachMistakeIsNamed(text: String, message: String) {
        #expect {
            try Interlocks(text: text, name: "i.yaml", map: map)
        } throws: { error in
            "\(error)".contains(message)
        }
    }

    @Test("What nobody has written down is cautious: one valve at a time, all closed in the end")
    func cautious() {
        let interlocks = Interlocks.cautious(on: map)
        #expect(interlocks.exclusiveGroups == [Set((1...6).map(valve))])
        #expect(interlocks.safeState == (1...6).map { SetPoint(valve($0), 0) })
    }

    @Test("Of two valves that exclude each other, the second is not opened, in whatever order they come")
    func guarded() async throws {
        let machine = SimulatedPLC(map, seed: 1)
        let guarded = InterlockedPLC(machine, interlocks: .cautious(on: map))
        // Many at once: at most one of them may be open.
        let opened = await withTaskGroup(of: Bool.self) { group in
            for number in 1...6 as ClosedRange<Int32> {
                group.addTask { [valve = valve(number), soon] in
                    do throws(PLCError) {
                        try await guarded.write(1, to: valve, deadline: soon)
                        return true
                    } catch { return false }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        var open = 0
        for number in 1...6 as ClosedRange<Int32>
        where try await machine.readSetPoint(of: valve(number), deadline: soon) != 0 {
            open += 1
        }
        #expect(open == opened && open <= 1)
        for number in 1...6 as ClosedRange<Int32> { try await guarded.write(0, to: valve(number), deadline: soon) }
        #expect(guarded.reserve([valve(1), valve(2)]).isEmpty)
        await #expect(throws: PLCError.self) { try await guarded.write(1, to: valve(2), deadline: soon) }
        guarded.release()
        try await guarded.write(1, to: valve(2), deadline: soon)
        // What is no valve is nobody's business.
        try await guarded.write(1, to: ParameterID(rawValue: 27), deadline: soon)
    }
}
