import ALDCore

/// What valves did, from everything that was written to them: a pure function.
struct ValveAudit {
    let valves: [ParameterID]
    /// In the order in which they took effect; of valves and others.
    let writes: [CommandAudit.Write]

    /// No two of them are ever open together, and none is when the day is over.
    func problems() -> [String] {
        var open: Set<ParameterID> = []
        var problems: [String] = []
        for write in writes where valves.contains(write.point.parameter) {
            if write.point.value == 0 {
                open.remove(write.point.parameter)
            } else if open.insert(write.point.parameter).inserted, open.count > 1 {
                let names = open.sorted().map(\.description).joined(separator: ", ")
                problems.append("valves \(names) are open together, \(write.at - World.beginning) into the run")
            }
        }
        return problems + open.sorted().map { "valve \($0) is left open" }
    }
}
