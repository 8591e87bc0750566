/// What must never happen on a machine, and what it is left in when something goes wrong.
///
/// The exclusive groups bind whoever opens a valve through this library: recipes, commands and set points. How long a valve
/// may be open binds recipes, which say how long; what a person opens stays open until somebody closes it.
public struct Interlocks: Hashable, Sendable {
    /// Of the valves of one group at most one is open at a time.
    public var exclusiveGroups: [Set<ParameterID>]
    /// How long a recipe may keep each valve open without a break; one that is not named has ``defaultMaximumOpen``.
    public var maximumOpen: [ParameterID: Duration]
    /// Defaults to 60 s.
    public var defaultMaximumOpen: Duration
    /// What is written, in this order, when a recipe does not end as it should. Valves that the recipe opened are
    /// closed before that, whether they are named here or not.
    public var safeState: [SetPoint]

    public init(
        exclusiveGroups: [Set<ParameterID>] = [], maximumOpen: [ParameterID: Duration] = [:],
        defaultMaximumOpen: Duration = .seconds(60), safeState: [SetPoint] = []
    ) {
        self.exclusiveGroups = exclusiveGroups
        self.maximumOpen = maximumOpen
        self.defaultMaximumOpen = defaultMaximumOpen
        self.safeState = safeState
    }

    public func maximumOpen(of valve: ParameterID) -> Duration { maximumOpen[valve] ?? defaultMaximumOpen }

    /// The valves that must be closed while `valve` is open.
    public func excluded(by valve: ParameterID) -> Set<ParameterID> {
        var excluded: Set<ParameterID> = []
        for group in exclusiveGroups where group.contains(valve) { excluded.formUnion(group) }
        excluded.remove(valve)
        return excluded
    }

    /// Every valve that they name.
    public var valves: Set<ParameterID> {
        exclusiveGroups.reduce(Set(maximumOpen.keys)) { $0.union($1) }
    }

    /// One sentence for everything that does not fit the machine.
    public func problems(on map: RegisterMap) -> [String] {
        var problems: [String] = []
        func check(_ id: ParameterID, _ place: String) {
            guard let parameter = map[id] else {
                problems.append("\(place): the register map has no parameter \(id)")
                return
            }
            if parameter.dataType != .binary || !parameter.isWritable {
                problems.append("\(place): \(parameter.qualifiedName) is no valve, a valve is binary and writable")
            }
        }
        for (index, group) in exclusiveGroups.enumerated() {
            for id in group.sorted() { check(id, "exclusive group \(index + 1)") }
        }
        for (id, limit) in maximumOpen.sorted(by: { $0.key < $1.key }) {
            check(id, "maximum open time")
            if limit <= .zero {
                problems.append("maximum open time of parameter \(id) is \(limit); it must be positive")
            }
        }
        if defaultMaximumOpen <= .zero {
            problems.append("default maximum open time is \(defaultMaximumOpen); it must be positive")
        }
        let opened = Set(safeState.filter { $0.value != 0 }.map(\.parameter))
        for (index, group) in exclusiveGroups.enumerated() where group.intersection(opened).count > 1 {
            let names = group.intersection(opened).sorted().map { map[$0]?.qualifiedName ?? "parameter \($0)" }
            problems.append(
                "safe state: it opens \(names.joined(separator: " and ")), and exclusive group \(index + 1) lets one be open"
            )
        }
        for point in safeState {
            do throws(PLCError) {
                _ = try map.checkedForWriting(point.value, to: point.parameter)
            } catch {
                problems.append("safe state: \(error)")
            }
        }
        return problems
    }
}
