import ALDCore

/// Compares what was asked of a machine with what was written to it, when everything is over: a pure function.
///
/// A restored database forgets that a command was begun, and the machine does not forget that it was written. So every
/// time that a command was begun allows one write, and order is looked for between two restores.
struct CommandAudit {
    /// A set point that took effect.
    struct Write: Hashable, Sendable {
        var at: MonotonicInstant
        var point: SetPoint
    }

    private let queue: CommandQueueModel
    /// Each with the command that it belongs to; `nil`: nobody had asked for it.
    private let writes: [(write: Write, command: CommandQueueModel.Command?)]

    /// - Parameter writes: in the order in which they took effect; only of parameters that commands alone write.
    init(queue: CommandQueueModel, writes: [Write]) {
        self.queue = queue
        let asked = Dictionary(grouping: queue.asked.values.sorted { $0.id < $1.id }, by: \.target)
        // A value is asked for again only long after the command before has come to its end.
        self.writes = writes.map { write in (write, asked[write.point]?.last { $0.askedAt <= write.at }) }
    }

    /// Everything that is wrong.
    func problems() -> [String] {
        queue.violations + ends() + single() + leases() + order() + landed()
    }

    private func ends() -> [String] {
        queue.commands.values.filter(\.status.isOpen).sorted { $0.id < $1.id }.map {
            "command \($0.id) is still \($0.status.rawValue)"
        }
    }

    /// No command is written more often than it was begun, nor after its deadline; one that has succeeded was written.
    private func single() -> [String] {
        var problems: [String] = []
        var times: [Int64: Int] = [:]
        for (write, command) in writes {
            guard let command else {
                problems.append("\(write.point.value) was written to \(write.point.parameter), and nobody had asked")
                continue
            }
            times[command.id, default: 0] += 1
            if write.at > command.notAfter {
                problems.append("command \(command.id) was written \(write.at - command.notAfter) after its deadline")
            }
        }
        let begun = Dictionary(grouping: queue.beginnings, by: \.command).mapValues(\.count)
        for (id, count) in times.sorted(by: { $0.key < $1.key }) where count > begun[id, default: 0] {
            problems.append("command \(id) was written \(count) times and begun \(begun[id, default: 0]) times")
        }
        for command in queue.commands.values.sorted(by: { $0.id < $1.id })
        where command.status == .succeeded && times[command.id] == nil {
            problems.append("command \(command.id) has succeeded and was never written")
        }
        return problems
    }

    /// No command is written when another terminal may already have found out how it ended.
    private func leases() -> [String] {
        let leases = Dictionary(grouping: queue.leases, by: \.command)
        return writes.compactMap { write, command in
            guard let command, let latest = leases[command.id]?.last(where: { $0.from <= write.at }),
                write.at > latest.until
            else { return nil }
            return "command \(command.id) was written \(write.at - latest.until) after its lease"
        }
    }

    /// The commands of one parameter are written in the order of their numbers.
    private func order() -> [String] {
        var last: [Place: Int64] = [:]
        var problems: [String] = []
        let beginnings = Dictionary(grouping: queue.beginnings, by: \.command)
        for (write, command) in writes {
            guard let id = command?.id,
                let epoch = beginnings[id]?.last(where: { $0.at <= write.at })?.epoch
            else { continue }
            let place = Place(parameter: write.point.parameter, epoch: epoch)
            if let before = last[place], before > id {
                problems.append("command \(id) of \(place.parameter) was written after \(before)")
            }
            last[place] = id
        }
        return problems
    }

    private struct Place: Hashable {
        var parameter: ParameterID
        var epoch: Int
    }

    /// The machine is left as the last command that has succeeded says, unless a later one may have been written.
    private func landed() -> [String] {
        var last: [ParameterID: Int64] = [:]
        for (write, command) in writes { last[write.point.parameter] = command?.id }
        var problems: [String] = []
        for (parameter, id) in last.sorted(by: { $0.key < $1.key }) {
            guard let command = queue.commands[id] else { continue }  // a restore has forgotten it
            let successes = queue.commands.values.filter {
                $0.target.parameter == parameter && $0.status == .succeeded
            }
            let newest = successes.map(\.id).max() ?? 0
            if newest > id {
                problems.append("\(parameter) is as command \(id) says, and \(newest) has succeeded since")
            }
            if command.status != .succeeded && command.status != .unknown {
                problems.append("\(parameter) is as command \(id) says, which has \(command.status.rawValue)")
            }
        }
        return problems
    }
}
