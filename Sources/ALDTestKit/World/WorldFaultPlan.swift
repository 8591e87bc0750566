public import ALDCore

/// Something that goes wrong in a ``World``, when, for how long, and how badly.
public struct WorldFault: Hashable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case databaseDown, databaseSlow, databaseRefuses, databaseRestarts, databaseForgets
        case answersLost, callsLost, callsLate
        case plcDown, plcSlow, plcLossy
        case crash, freeze, clockStep
        case readingsRefused, diskFull

        /// Under which name its effects are counted.
        public var bite: String {
            switch self {
            case .databaseDown: "database down"
            case .databaseSlow: "slow database"
            case .databaseRefuses: "refusal"
            case .databaseRestarts: "restart"
            case .databaseForgets: "restore"
            case .answersLost: "lost answer"
            case .callsLost: "lost call"
            case .callsLate: "late call"
            case .plcDown: "PLC down"
            case .plcSlow: "slow PLC"
            case .plcLossy: "PLC call lost"
            case .crash: "crash"
            case .freeze: "freeze"
            case .clockStep: "clock step"
            case .readingsRefused: "refused reading"
            case .diskFull: "full disk"
            }
        }

        /// What it has to bring about at least once, or of the ways out of it nothing was proved; `nil` for none.
        public var rareState: String? {
            switch self {
            case .databaseDown: "breaker open"
            case .answersLost: "delivery in doubt resolved"
            case .callsLost: "sweep found a command"
            case .readingsRefused: "dead letter written"
            case .crash: "crash with records waiting"
            case .diskFull: "spool refused"
            case .databaseForgets: "database forgot commits"
            case .databaseSlow, .databaseRefuses, .databaseRestarts, .callsLate, .plcDown, .plcSlow, .plcLossy, .freeze,
                .clockStep:
                nil
            }
        }
    }

    public var kind: Kind
    public var at: MonotonicInstant
    public var duration: Duration
    /// Between 0 and 1: of what the kind allows.
    public var strength: Double

    public var end: MonotonicInstant { at + duration }
}

/// What goes wrong in one run: a pure function of chance.
///
/// Which kinds there are and how often is itself drawn (swarm testing, Groce et al., ISSTA 2012): some runs have all
/// faults, some only one, and some one all the time.
public enum WorldFaultPlan {
    private struct Shape {
        /// How often in an hour at the most.
        var perHour: Double
        var shortest: Duration
        var longest: Duration
    }

    private static func shape(of kind: WorldFault.Kind) -> Shape {
        switch kind {
        case .databaseDown: Shape(perHour: 6, shortest: .seconds(1), longest: .seconds(1200))
        case .databaseSlow: Shape(perHour: 6, shortest: .seconds(10), longest: .seconds(600))
        case .databaseRefuses: Shape(perHour: 6, shortest: .seconds(1), longest: .seconds(300))
        case .databaseRestarts: Shape(perHour: 4, shortest: .zero, longest: .zero)
        case .databaseForgets: Shape(perHour: 2, shortest: .zero, longest: .zero)
        case .answersLost, .callsLost, .callsLate:
            Shape(perHour: 6, shortest: .seconds(5), longest: .seconds(600))
        case .plcDown: Shape(perHour: 6, shortest: .seconds(1), longest: .seconds(300))
        case .plcSlow, .plcLossy: Shape(perHour: 6, shortest: .seconds(5), longest: .seconds(300))
        case .crash: Shape(perHour: 6, shortest: .milliseconds(100), longest: .seconds(60))
        case .freeze: Shape(perHour: 6, shortest: .milliseconds(200), longest: .seconds(90))
        case .clockStep: Shape(perHour: 3, shortest: .zero, longest: .zero)
        case .readingsRefused: Shape(perHour: 6, shortest: .seconds(5), longest: .seconds(600))
        case .diskFull: Shape(perHour: 4, shortest: .seconds(2), longest: .seconds(300))
        }
    }

    /// The faults between `start` and `end`, in their order. One of a kind has ended before the next one of it begins.
    ///
    /// - Parameter isSwarm: with false there are all of `kinds`, as often as may be.
    public static func draw(
        from start: MonotonicInstant, to end: MonotonicInstant, kinds: [WorldFault.Kind] = WorldFault.Kind.allCases,
        isSwarm: Bool = true, random: inout SeededGenerator
    ) -> [WorldFault] {
        var faults: [WorldFault] = []
        for kind in kinds where !isSwarm || Double.random(in: 0..<1, using: &random) < 0.6 {
            let shape = shape(of: kind)
            let perHour = shape.perHour * (isSwarm ? Double.random(in: 0.1...1, using: &random) : 1)
            let pause = 3600 / perHour
            var at = start
            while true {
                at = at + .milliseconds(Int64(Double.random(in: 0.05...2, using: &random) * pause * 1000))
                // Most are short: half of them within the first eighth.
                let share = Double.random(in: 0...1, using: &random)
                let length = (shape.longest - shape.shortest).inSeconds * share * share * share
                let duration = shape.shortest + .milliseconds(Int64(length * 1000))
                guard at + duration < end else { break }
                let strength = Double.random(in: 0...1, using: &random)
                faults.append(WorldFault(kind: kind, at: at, duration: duration, strength: strength))
                at = at + duration
            }
        }
        return faults.sorted { ($0.at, $0.kind.rawValue) < ($1.at, $1.kind.rawValue) }
    }
}
