/// Which parameters of a machine act on which: the roles of a register map and the ties between them.
///
/// Parameters of one component belong together. There is one chamber: every gauge sees every pump, valve and flow.
struct MachineLayout: Sendable {
    /// One per parameter, in the map's order. A role that lacks its counterpart is ``MachineRole/other``: a gauge in a
    /// machine without a pump, an output without a heater, a ready signal without a power switch.
    let roles: [MachineRole]
    /// The counterpart in the same component: a heater's or flow's power switch, an output's heater, a ready
    /// signal's power switch.
    let partners: [Int?]
    /// Whose counterpart a parameter is.
    let dependents: [Int: [Int]]
    let pumps: [Int]
    let gates: [Int]
    let valves: [Int]
    let purges: [Int]
    let flows: [Int]
    let gauges: [Int]

    init(_ parameters: [Parameter]) {
        var roles = parameters.map(MachineRole.init)
        var firsts: [MachineRole: [String: Int]] = [:]
        for (index, role) in roles.enumerated().reversed() {
            firsts[role, default: [:]][parameters[index].component] = index
        }
        let partners = roles.indices.map { index -> Int? in
            switch roles[index] {
            case .heater, .massFlow, .ready: firsts[.power]?[parameters[index].component]
            case .heaterOutput: firsts[.heater]?[parameters[index].component]
            default: nil
            }
        }
        let hasPump = firsts[.pump] != nil
        for index in roles.indices {
            switch roles[index] {
            case .heaterOutput where partners[index] == nil, .ready where partners[index] == nil, .gauge where !hasPump:
                roles[index] = .other
            default: break
            }
        }
        func all(_ role: MachineRole) -> [Int] { roles.indices.filter { roles[$0] == role } }
        (self.roles, self.partners) = (roles, partners)
        dependents = Dictionary(grouping: partners.indices.filter { partners[$0] != nil }) { partners[$0] ?? $0 }
        (pumps, gates, valves) = (all(.pump), all(.gateValve), all(.processValve))
        (purges, flows, gauges) = (all(.purge), all(.massFlow), all(.gauge))
    }
}
