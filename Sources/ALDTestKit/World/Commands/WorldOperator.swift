import ALDCore
import Synchronization

/// Asks for parameter commands in a ``World`` at seeded instants, of a few parameters, sometimes several at once.
/// Of a thousand in a row no two ask for the same value of a parameter, so that every write can be told from every other.
final class WorldOperator: Sendable {
    private struct State {
        var random: SeededGenerator
        /// The longest pause between two visits, in milliseconds.
        var pause: Int
        var asked: [ParameterID: Int] = [:]
    }

    private let table: WorldCommandTable
    private let world: World
    private let parameters: [Parameter]
    private let end: MonotonicInstant
    private let state: Mutex<State>

    /// - Parameter end: when he goes home.
    init(_ table: WorldCommandTable, map: RegisterMap, until end: MonotonicInstant, world: World) {
        self.table = table
        self.world = world
        self.end = end
        parameters = map.parameters.filter(Self.isAsked)
        var random = world.stream("operator")
        let pause = Int.random(in: 5000...60_000, using: &random)
        state = Mutex(State(random: random, pause: pause))
    }

    /// Numbers that can be set; switches have too few values to tell one command from another.
    static func isAsked(_ parameter: Parameter) -> Bool { parameter.isWritable && values(of: parameter) >= 1000 }

    func begin() {
        if !parameters.isEmpty { comeBack() }
    }

    private func comeBack() {
        let pause = state.withLock { Duration.milliseconds(Int.random(in: 100...$0.pause, using: &$0.random)) }
        if world.now + pause >= end { return }
        world.schedule(at: world.now + pause) {
            self.ask()
            self.comeBack()
        }
    }

    private func ask() {
        let wishes = state.withLock { state in
            (0..<Int.random(in: 1...4, using: &state.random)).map { _ in
                let parameter = parameters[Int.random(in: parameters.indices, using: &state.random)]
                let number = state.asked[parameter.id, default: 0]
                state.asked[parameter.id] = number + 1
                let timeout = [1, 5, 60, 300][Int.random(in: 0..<4, using: &state.random)]
                return (SetPoint(parameter.id, Self.value(number, of: parameter)), Duration.seconds(timeout))
            }
        }
        for (point, timeout) in wishes { table.ask(point, timeout: timeout) }
    }

    /// How many values can be told apart; single precision keeps sixteenths of what machines are set to.
    private static func values(of parameter: Parameter) -> Int {
        let width = parameter.range.upperBound - parameter.range.lowerBound
        return parameter.dataType == .binary ? 2 : Int(width * step(of: parameter))
    }

    private static func step(of parameter: Parameter) -> Double { parameter.dataType == .float32 ? 16 : 1 }

    /// The values jump about, and none comes twice before all have come.
    private static func value(_ number: Int, of parameter: Parameter) -> Double {
        let count = values(of: parameter)
        return parameter.range.lowerBound + Double((number + 1) * 617 % count) / step(of: parameter)
    }
}
