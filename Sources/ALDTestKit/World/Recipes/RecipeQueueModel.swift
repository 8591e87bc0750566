import ALDCore
import Foundation

/// What the functions of `ald.recipe_commands` and `ald.process_executions` do, as a value: the reference against which
/// Terminal 2 runs in a ``World``. The server's clock and the name of the terminal are arguments.
struct RecipeQueueModel: Sendable {
    struct Command: Hashable, Sendable {
        var id: Int64
        var trace: UUID
        var kind: RecipeDesk.Kind
        /// Of a start.
        var recipe: Int64?
        /// Of a stop.
        var process: Int64?
        var notAfter: MonotonicInstant
        var status = CommandQueueModel.Status.pending
        var worker: String?
        var leaseUntil: MonotonicInstant?
        var isAdopted = false
        var error: String?
    }

    struct Process: Hashable, Sendable {
        var id: Int64
        var command: Int64
        /// Those that its terminal may open.
        var valves: [ParameterID]
        var steps: Int64
        /// `nil` while it runs.
        var ending: String?
        var error: String?
    }

    private(set) var commands: [Int64: Command] = [:]
    private(set) var processes: [Int64: Process] = [:]
    private(set) var violations: [String] = []
    /// How often a command was given again whose taking was not answered, and how often one that was left.
    private(set) var (givenAgain, adopted) = (0, 0)
    private var open: Set<Int64> = []
    private var given: [String: Set<Int64>] = [:]
    /// Who was told to carry a command out.
    private var taken: [Int64: String] = [:]
    private let lease: Duration

    init(lease: Duration) { self.lease = lease }

    var openCommands: Int { open.count }
    var running: Process? { processes[Int64(processes.count)].flatMap { $0.ending == nil ? $0 : nil } }
    private var oldestFirst: [Command] { open.sorted().compactMap { commands[$0] } }

    // MARK: What operators do

    mutating func ask(_ command: Command) -> Int64 {
        var command = command
        command.id = Int64(commands.count + 1)
        set(command)
        return command.id
    }

    // MARK: What a terminal does

    mutating func take(_ worker: String, known: Set<Int64>, now: MonotonicInstant) -> Command? {
        // A recipe whose start is too late now may run: this question may be carried out late.
        for var command in oldestFirst
        where command.status == .executing && command.worker == worker && !known.contains(command.id)
            && (command.kind == .stop || !command.isAdopted && command.notAfter > now)
        {
            command.leaseUntil = now + lease
            set(command)
            givenAgain += 1
            return command
        }
        for var command in oldestFirst where command.status == .pending && command.notAfter <= now {
            (command.status, command.error) = (.expired, "not begun in time")
            set(command)
        }
        // One start after the other; everything else goes past them.
        var isBlocked = oldestFirst.contains { $0.kind == .start && $0.status == .executing }
        for var command in oldestFirst where command.status == .pending {
            if command.kind == .start {
                defer { isBlocked = true }
                if isBlocked { continue }
            }
            (command.status, command.worker, command.leaseUntil) = (.executing, worker, now + lease)
            set(command)
            given[worker, default: []].insert(command.id)
            taken[command.id] = worker
            return command
        }
        return nil
    }

    mutating func adopt(_ worker: String, now: MonotonicInstant) -> [Command] {
        let left = oldestFirst.filter {
            $0.status == .executing && (($0.leaseUntil ?? now) <= now || $0.isAdopted && $0.worker == worker)
        }
        return left.map { left in
            var command = left
            (command.worker, command.isAdopted, command.leaseUntil) = (worker, true, now + lease)
            set(command)
            given[worker, default: []].insert(command.id)
            adopted += 1
            return command
        }
    }

    mutating func renew(_ ids: [Int64], _ worker: String, now: MonotonicInstant) {
        for id in ids {
            expectGiven(id, to: worker, for: "renewed")
            guard var command = commands[id], command.worker == worker, let until = command.leaseUntil, until > now
            else { continue }
            command.leaseUntil = now + lease
            set(command)
        }
    }

    /// - Returns: as `RecipeTable.finish(_:deadline:)`.
    mutating func finish(_ finished: RecipeDesk.Finished, _ worker: String) -> Bool? {
        expectGiven(finished.id, to: worker, for: "ended")
        if let process = finished.process {
            guard let process = processes[process] else {
                violations.append("command \(finished.id) would end with process \(process), which there is not")
                return nil
            }
            if process.ending == nil { return false }
        }
        let status: CommandQueueModel.Status =
            finished.isDoubtful ? .unknown : finished.error == nil ? .succeeded : .failed
        if finished.error == "" { violations.append("command \(finished.id) would fail without a reason") }
        guard var command = commands[finished.id], command.worker == worker else { return nil }
        if command.status == .executing {
            (command.status, command.error, command.leaseUntil) = (status, finished.error, nil)
            set(command)
        }
        return command.status == status ? true : nil
    }

    /// - Returns: the process, or why there is none.
    mutating func begin(
        _ id: Int64, _ worker: String, steps: Int64, valves: [ParameterID], now: MonotonicInstant
    ) -> Result<Int64, RecipeStore.Problem> {
        func refusal(_ reason: String) -> Result<Int64, RecipeStore.Problem> {
            .failure(RecipeStore.Problem(code: .invalid, description: reason))
        }
        guard let command = commands[id], command.worker == worker, command.status == .executing,
            command.kind == .start
        else { return refusal("the command is not this terminal's any more") }
        if taken[id] != worker { violations.append("recipe command \(id) was left to \(worker), which carries it out") }
        let own = processes.values.filter { $0.command == id }
        if let open = own.first(where: { $0.ending == nil }) { return .success(open.id) }
        if command.notAfter <= now { return refusal("it was to begin by then, and that is over") }
        if let running { return refusal("process \(running.id) is under way") }
        // A unique key in the table.
        if let before = own.first { return refusal("command \(id) has begun process \(before.id) already") }
        let process = Process(id: Int64(processes.count + 1), command: id, valves: valves, steps: steps)
        processes[process.id] = process
        return .success(process.id)
    }

    /// How the process ended that a command is about.
    func outcome(of command: RecipeDesk.Taken) -> Process? {
        processes.values.filter { $0.command == command.id || $0.id == command.process }.min { $0.id < $1.id }
    }

    /// Events of processes have landed: the end of one follows from them, and only its first end counts.
    mutating func follow(_ events: [ProcessEvent]) {
        for event in events where event.kind == .state && ["completed", "failed", "aborted"].contains(event.text) {
            guard processes[event.process]?.ending == nil else { continue }
            processes[event.process]?.ending = event.text
            if event.text != "completed" { processes[event.process]?.error = "its terminal says why" }
        }
    }

    // MARK: The record

    private mutating func expectGiven(_ id: Int64, to worker: String, for what: String) {
        if given[worker]?.contains(id) == true { return }
        violations.append("recipe command \(id) was \(what) by \(worker), which never got it")
    }

    private mutating func set(_ command: Command) {
        if command.kind == .start, command.status == .executing, commands[command.id]?.status == .pending,
            let other = open.first(where: { commands[$0]?.kind == .start && commands[$0]?.status == .executing })
        {
            violations.append("recipe commands \(other) and \(command.id) start side by side")
        }
        commands[command.id] = command
        if command.status.isOpen { open.insert(command.id) } else { open.remove(command.id) }
    }
}
