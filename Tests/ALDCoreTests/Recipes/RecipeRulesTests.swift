import Modbus
import Testing

@testable import ALDCore

/// What keeps a recipe from running, and that nothing is guessed or corrected.
@Suite struct RecipeRulesTests {
    static let valve = ParameterID(rawValue: 1)
    static let gauge = ParameterID(rawValue: 2)
    static let flow = ParameterID(rawValue: 3)
    static let period = ParameterID(rawValue: 4)

    let map: RegisterMap

    init() throws {
        map = try RegisterMap(parameters: [
            Parameter(
                id: Self.valve, component: "Valve 1", name: "valve_state", range: 0...1, dataType: .binary,
                readLocation: RegisterLocation(table: .coils, address: 15),
                writeLocation: RegisterLocation(table: .coils, address: 15)),
            Parameter(
                id: Self.gauge, component: "Gauge", name: "pressure", unit: "Pa", range: 0...100, dataType: .float32,
                readLocation: RegisterLocation(table: .inputRegisters, address: 10)),
            Parameter(
                id: Self.flow, component: "MFC 1", name: "flow", unit: "sccm", range: 0...200, dataType: .float32,
                readLocation: RegisterLocation(table: .inputRegisters, address: 20),
                writeLocation: RegisterLocation(table: .holdingRegisters, address: 20)),
            Parameter(
                id: Self.period, component: "Heater", name: "period", unit: "ms", range: 10...5000, dataType: .int32,
                readLocation: RegisterLocation(table: .inputRegisters, address: 30),
                writeLocation: RegisterLocation(table: .holdingRegisters, address: 30)),
        ])
    }

    func problems(_ steps: RecipeStep.Kind..., interlocks: Interlocks = Interlocks()) -> [String] {
        let steps = steps.enumerated().map { RecipeStep(id: Int32($0.offset + 1), $0.element) }
        return RecipeRules(map, interlocks: interlocks).problems(of: Recipe(name: "r", steps: steps)).map(\.description)
    }

    @Test func aSoundRecipeHasNone() {
        #expect(
            problems(
                .valve(Self.valve, open: .milliseconds(1)),
                .purge(gas: "N2", for: .seconds(1), flow: SetPoint(Self.flow, 200)),
                .parameter(SetPoint(Self.period, 10), ramp: 0.5, hold: .zero),
                .loop(iterations: 1_000_000, [RecipeStep(id: 99, .wait(.milliseconds(1)))])) == [])
    }

    static let wrong: [(RecipeStep.Kind, String)] = [
        (.valve(ParameterID(rawValue: 77), open: .seconds(1)), "step 1: the register map has no parameter 77"),
        (.valve(flow, open: .seconds(1)), "step 1: MFC 1.flow is no valve, its type is float"),
        (.valve(valve, open: .zero), "step 1: it takes 0.0 seconds; allowed are 1 ms to 24 h"),
        (
            .valve(valve, open: .seconds(61)),
            "step 1: Valve 1.valve_state would be open for 61.0 seconds; at most 60.0 seconds is allowed"
        ),
        (.wait(.seconds(86_401)), "step 1: it takes 86401.0 seconds; allowed are 1 ms to 24 h"),
        (.purge(gas: "", for: .seconds(1), flow: nil), "step 1: its gas has no name"),
        (
            .purge(gas: "N2", for: .seconds(1), flow: SetPoint(flow, 201)),
            "step 1: 201.0 sccm is outside MFC 1.flow's range 0.0 … 200.0 sccm"
        ),
        (
            .parameter(SetPoint(gauge, 1), ramp: nil, hold: .zero),
            "step 1: Gauge.pressure is read-only: the register map gives it no write address"
        ),
        (
            .parameter(SetPoint(flow, .nan), ramp: nil, hold: .zero),
            "step 1: nan sccm is outside MFC 1.flow's range 0.0 … 200.0 sccm"
        ),
        (
            .parameter(SetPoint(valve, 0.5), ramp: nil, hold: .zero),
            "step 1: 0.5 for Valve 1.valve_state is not whole, its type is binary"
        ),
        (.parameter(SetPoint(flow, 1), ramp: 0, hold: .zero), "step 1: its ramp is 0.0; it must be above zero"),
        (.parameter(SetPoint(flow, 1), ramp: .nan, hold: .zero), "step 1: its ramp is nan; it must be above zero"),
        (
            .parameter(SetPoint(flow, 1), ramp: nil, hold: .seconds(-1)),
            "step 1: its hold is -1.0 seconds; allowed are 0 to 24 h"
        ),
        (
            .loop(iterations: 0, [RecipeStep(id: 2, .wait(.seconds(1)))]),
            "step 1: it has 0 iterations; allowed are 1 to 1000000"
        ),
        (.loop(iterations: 2, []), "step 1: the loop is empty"),
        (.loop(iterations: 2, [RecipeStep(id: 1, .wait(.seconds(1)))]), "step 1: its number is used twice"),
    ]

    @Test(arguments: wrong) func eachIsNamed(kind: RecipeStep.Kind, message: String) {
        #expect(problems(kind) == [message])
    }

    @Test func everythingWrongIsSaidAtOnce() {
        #expect(problems(.wait(.zero), .loop(iterations: 1, []), .valve(Self.flow, open: .seconds(99))).count == 4)
        #expect(problems() == ["it has no steps"])
    }

    @Test("A parameter step opens no valve, because nothing would close it again")
    func valvesAreOpenedByValveStepsOnly() {
        let message =
            "step 1: Valve 1.valve_state is a valve; open it with a valve step, which closes it whatever happens"
        #expect(problems(.parameter(SetPoint(Self.valve, 1), ramp: nil, hold: .zero)) == [message])
        #expect(problems(.purge(gas: "N2", for: .seconds(1), flow: SetPoint(Self.valve, 1))) == [message])
        #expect(problems(.parameter(SetPoint(Self.valve, 0), ramp: nil, hold: .zero)) == [])
    }

    @Test func loopsNestToEightAndNotDeeper() {
        func nested(_ depth: Int) -> RecipeStep.Kind {
            (0..<depth).reduce(.wait(.seconds(1))) { .loop(iterations: 2, [RecipeStep(id: Int32(100 + $1), $0)]) }
        }
        #expect(problems(nested(8)) == [])
        #expect(problems(nested(9)) == ["step 101: loops are nested deeper than 8"])
    }

    @Test func whatCannotBeCountedIsRefused() {
        let million = RecipeStep(id: 3, .loop(iterations: 1_000_000, [RecipeStep(id: 4, .wait(.milliseconds(1)))]))
        let outer = RecipeStep.Kind.loop(
            iterations: 1_000_000, [RecipeStep(id: 2, .loop(iterations: 1_000_000, [million]))])
        #expect(problems(outer).first?.contains("more than 1000000000 steps") == true)
    }

    @Test func interlocksAreCheckedAgainstTheMachine() {
        let interlocks = Interlocks(
            exclusiveGroups: [[Self.valve, Self.gauge]], maximumOpen: [ParameterID(rawValue: 77): .zero],
            safeState: [SetPoint(Self.flow, 500)])
        #expect(
            interlocks.problems(on: map) == [
                "exclusive group 1: Gauge.pressure is no valve, a valve is binary and writable",
                "maximum open time: the register map has no parameter 77",
                "maximum open time of parameter 77 is 0.0 seconds; it must be positive",
                "safe state: 500.0 sccm is outside MFC 1.flow's range 0.0 … 200.0 sccm",
            ])
        #expect(Interlocks(exclusiveGroups: [[Self.valve, Self.flow]]).excluded(by: Self.valve) == [Self.flow])
    }
}
