/// What one read request costs in time: `perRequest + q · perRegister` for q registers. A bit counts as a sixteenth
/// of a register.
public struct ReadCost: Hashable, Sendable {
    /// The share that does not depend on how much is read. 0…1 min.
    public let perRequest: Duration
    /// The share of each register. 0…1 s.
    public let perRegister: Duration

    /// Values outside of the allowed ranges become the nearest allowed ones: what was measured may be anything.
    public init(perRequest: Duration, perRegister: Duration) {
        self.perRequest = min(max(perRequest, .zero), .seconds(60))
        self.perRegister = min(max(perRegister, .zero), .seconds(1))
    }

    /// How many registers of filler are worth a saved request: the whole part of `perRequest / perRegister`, 0…125.
    /// More than 125 makes no difference, since no request is longer.
    public var breakEvenGap: Int {
        let most = ModbusLimits.maximumReadRegisters
        guard perRegister * most > perRequest else { return most }
        var gap = Int((perRequest / perRegister).rounded())
        // The quotient may have been rounded past a whole number.
        if perRegister * gap > perRequest { gap -= 1 }
        return min(most, gap)
    }

    /// The goal to give to a ``ReadPlanner``.
    public var goal: ReadPlanner.Goal {
        .minimumTime(perRequest: perRequest, perRegister: perRegister)
    }

    /// How long one request takes by this cost.
    public func time(of read: PlannedRead) -> Duration {
        perRequest + perRegister * read.weight / 16
    }

    /// How long the requests of `plan` take by this cost, one after the other.
    public func time(of plan: ReadPlan) -> Duration {
        plan.requests.reduce(.zero) { $0 + time(of: $1) }
    }
}

extension PlannedRead {
    /// What is read, in sixteenths of a register.
    var weight: Int {
        range.count * (table.isBits ? 1 : 16)
    }
}
