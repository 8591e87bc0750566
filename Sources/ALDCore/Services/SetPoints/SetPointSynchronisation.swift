/// Decides which set points of the database have to follow the machine.
struct SetPointSynchronisation: Sendable {
    /// A set point as the database has it.
    struct Known: Hashable, Sendable {
        var setValue: Double?
        var unit: String
        var entry: MachineMetadata.Entry
    }

    /// What became of one that was different.
    struct Outcome: Hashable, Sendable {
        enum Kind: String, Hashable, Sendable {
            /// The database says now what the machine says.
            case synchronised
            /// The same, and nobody here had asked for it.
            case external
            /// A command is under way; the next round looks again.
            case busy
            /// The machine has what no command may write, so the database does not say so.
            case refused
        }

        var parameter: ParameterID
        var kind: Kind
        var previous: Double?
        var problem: String?
    }

    /// The set points of the machine that the database does not have, in the order of their numbers.
    static func differences(seen: [ParameterID: Double], known: [Int32: Known]) -> [SetPoint] {
        seen.compactMap { parameter, value -> SetPoint? in
            guard let known = known[parameter.rawValue], known.entry.isWritable, value.isFinite else { return nil }
            if let setValue = known.setValue {
                let tolerance = SetPointTolerance.of(
                    value, unit: known.unit, given: known.entry.setPointTolerance)
                if abs(value - setValue) <= tolerance { return nil }
            }
            return SetPoint(parameter, value)
        }.sorted { $0.parameter < $1.parameter }
    }

    private var refused: [ParameterID: Double] = [:]
    private var compared: [ParameterID: Double] = [:]

    /// What the machine said when this was compared last; `nil` when it never was.
    func previous(_ parameter: ParameterID) -> Double? { compared[parameter] }

    /// Keeps what the machine has said, unless it was left to the next look.
    mutating func keep(_ seen: [ParameterID: Double], different: [SetPoint], _ outcomes: [Outcome]) {
        let settled = Set(outcomes.filter { $0.kind != .busy }.map(\.parameter))
        let left = Set(different.map(\.parameter)).subtracting(settled)
        for (parameter, value) in seen where value.isFinite && !left.contains(parameter) {
            compared[parameter] = value
        }
    }

    /// Whether a value that the database refuses is worth a word: once, as long as it stays.
    mutating func isNews(_ outcome: Outcome, of value: Double?) -> Bool {
        switch outcome.kind {
        case .external: return true
        case .refused:
            defer { refused[outcome.parameter] = value }
            return refused[outcome.parameter] != value
        case .synchronised, .busy: return false
        }
    }

    /// Parameters whose values are in order again.
    mutating func keepRefusals(_ refusedNow: Set<ParameterID>) {
        refused = refused.filter { refusedNow.contains($0.key) }
    }
}
