import ALDCore

/// How much the terminals of a ``ProcessPlant`` have done, or have done since.
struct ProcessWork: Sendable, CustomStringConvertible {
    /// That Terminal 1 has recorded.
    var instants: Int
    /// That the recipe has made.
    var pulses: Int
    /// That have ended.
    var commands: Int

    init(of plant: ProcessPlant) async throws {
        instants = try await plant.instants()
        pulses = try plant.pulses.count
        commands = try await plant.commands("finished_at IS NOT NULL")
    }

    static func - (later: ProcessWork, earlier: ProcessWork) -> ProcessWork {
        var difference = later
        difference.instants -= earlier.instants
        difference.pulses -= earlier.pulses
        difference.commands -= earlier.commands
        return difference
    }

    func count(of kind: TerminalProcesses.Kind) -> Int {
        switch kind {
        case .collect: instants
        case .recipes: pulses
        case .commands: commands
        }
    }

    /// Of what was due in this time.
    ///
    /// - Parameter rate: commands that were asked for, a second.
    func share(of kind: TerminalProcesses.Kind, seconds: Double, rate: Double) -> Double {
        let interval =
            switch kind {
            case .collect: ProcessPlant.period.inSeconds
            case .recipes: 2 * ProcessPlant.pulse.inSeconds
            case .commands: 1 / rate
            }
        return Double(count(of: kind)) * interval / max(seconds, interval)
    }

    var description: String { "\(instants) instants, \(pulses) pulses, \(commands) commands were done" }
}
