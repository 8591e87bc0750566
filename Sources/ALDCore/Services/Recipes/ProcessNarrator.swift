/// Tells what a run does in the events that are kept of it. It decides nothing about the run and is not in its way.
struct ProcessNarrator: Sendable {
    private let process: Int64
    private let steps: [Int32: RecipeStep]
    /// The same instant on the run's clock and on the wall.
    private let start: MonotonicInstant
    private let wall: Timestamp

    private var numbers: Int64 = 0
    private var occurrences: Int64 = 0
    private var completed: Int64 = 0
    private var operations: Int64 = 0
    private var changes: Int64 = 0
    private var step: Step?
    private var events: [ProcessEvent] = []

    private typealias Values = [String: ProcessEvent.Value]

    /// The step under way.
    private struct Step {
        var id: Int32
        var iterations: [Int32]
        var occurrence: Int64
        var began: MonotonicInstant
        /// What it does to the machine; empty when it does nothing.
        var operation: Values = [:]
        /// What came of that.
        var result: Values = [:]
        var attempts: Int64 = 0
        /// Whether its beginning has been told.
        var isTold = false
        var brokenAt: MonotonicInstant?
    }

    init(process: Int64, recipe: Recipe, start: MonotonicInstant, wall: Timestamp) {
        self.process = process
        self.start = start
        self.wall = wall
        steps = Dictionary(recipe.outline.map { ($0.step.id, $0.step) }, uniquingKeysWith: { first, _ in first })
    }

    /// Tells what was made safe after a run that ended without a word. Its operations come behind all that the run may
    /// have counted, and behind those of everybody who was cut off while he did the same: they count microseconds.
    init(securing process: Int64, now: MonotonicInstant, wall: Timestamp) {
        self.init(process: process, recipe: Recipe(name: "", steps: []), start: now, wall: wall)
        operations = wall.microseconds
    }

    /// What has to be kept of this, in its order.
    mutating func tell(_ records: [RecipeMachine.Record]) -> [ProcessEvent] {
        for record in records { tell(record) }
        // One that has ended by now is told once, by its end.
        if let current = step, !current.isTold {
            step?.isTold = true
            add(
                .stepBegan, of: current, at: current.began,
                current.operation.merging(
                    ["occurrence": .integer(current.occurrence), "completed": .integer(completed)]) { $1 })
        }
        return take()
    }

    /// Somebody has asked something of the run.
    mutating func tellRequest(_ words: String, at instant: MonotonicInstant) {
        add(.request, at: instant, text: words)
    }

    /// The last events of a run.
    mutating func end(_ ending: RecipeMachine.Ending, at instant: MonotonicInstant) -> [ProcessEvent] {
        var (status, error): (String, String?) =
            switch ending.outcome {
            case .completed: ("completed", nil)
            case .aborted(let reason): ("aborted", reason.isEmpty ? nil : reason)
            case .failed(let reason): ("failed", reason.isEmpty ? "no reason was given" : reason)
            }
        if !ending.unsecured.isEmpty {
            let names = ending.unsecured.map { "\($0.parameter)" }.joined(separator: ", ")
            error = [error, "not known to be safe: parameters \(names)"].compactMap(\.self).joined(separator: "; ")
        }
        endStep(status, error: error ?? "no reason was given", at: step?.brokenAt ?? instant)
        add(.state, at: instant, error.map { ["error": .text($0)] } ?? [:], text: status)
        return take()
    }

    private mutating func take() -> [ProcessEvent] {
        defer { events = [] }
        return events
    }

    private mutating func tell(_ record: RecipeMachine.Record) {
        switch record {
        case .began(let id, let iterations, let at): begin(id, iterations.map { Int32(clamping: $0) }, at: at)
        case .completed(_, _, let at):
            completed += 1
            endStep("completed", error: "", at: at)
        // How it ended is known when the run has ended.
        case .broken(_, _, let at, _): step?.brokenAt = at
        case .pulse(let valve, let programmed, let opened, let closed, let confirmed):
            wrote(from: opened, to: confirmed, calls: 2)
            add(
                .pulse, of: step, at: closed,
                [
                    "parameter": .integer(Int64(valve.rawValue)), "opened": .text(stamp(opened)),
                    "confirmed": .text(stamp(confirmed)), "programmed_ms": .number(programmed.inMilliseconds),
                    "open_ms": .number((closed - opened).inMilliseconds),
                ])
        case .set(_, let asked, let confirmed): wrote(from: asked, to: confirmed, calls: 1)
        case .verified(_, let actual, _): if actual.isFinite { step?.result["actual"] = .number(actual) }
        case .trouble(let point, let reason, let at):
            step?.attempts += 1
            add(.trouble, of: step, at: at, values(of: point), text: reason)
        case .secured(let point, let at):
            operations += 1
            add(
                .secured, at: at,
                values(of: point).merging(
                    ["operation": .integer(operations), "what": "safety", "event": "succeeded"]) { $1 })
        case .paused(let at): change("paused", at: at)
        case .resumed(let at): change("running", at: at)
        }
    }

    // MARK: Steps

    private mutating func begin(_ id: Int32, _ iterations: [Int32], at instant: MonotonicInstant) {
        occurrences += 1
        var begun = Step(id: id, iterations: iterations, occurrence: occurrences, began: instant)
        let (what, point): (ProcessEvent.Value, SetPoint?) =
            switch steps[id]?.kind {
            case .valve(let valve, _): ("valve", SetPoint(valve, 1))
            case .purge(_, _, let flow): ("purge", flow)
            case .parameter(let point, _, _): ("parameter", point)
            case .wait, .loop, nil: ("wait", nil)
            }
        if let point {
            operations += 1
            begun.operation = values(of: point)
            begun.operation["operation"] = .integer(operations)
            begun.operation["what"] = what
        }
        step = begun
    }

    private mutating func wrote(from asked: MonotonicInstant, to confirmed: MonotonicInstant, calls: Int64) {
        let (started, ended) = (stamp(asked), stamp(confirmed))
        step?.result["write_started"] = .text(started)
        step?.result["write_ended"] = .text(ended)
        step?.attempts += calls
    }

    /// - Parameter outcome: of the step, in the words of the table.
    private mutating func endStep(_ outcome: String, error: String, at instant: MonotonicInstant) {
        guard let ended = step else { return }
        step = nil
        var values = ended.operation
        values["occurrence"] = .integer(ended.occurrence)
        values["completed"] = .integer(completed)
        values["started"] = .text(stamp(ended.began))
        // A run that is completed leaves no step behind.
        values["outcome"] = .text(outcome)
        if !ended.operation.isEmpty {
            values.merge(ended.result) { $1 }
            values["attempts"] = .integer(ended.attempts)
            values["event"] = outcome == "completed" ? "succeeded" : outcome == "failed" ? "failed" : "cancelled"
            if outcome == "failed" { values["error"] = .text(error) }
            // Only a set point that read back as it should lets its step end well.
            if ended.result["actual"] != nil { values["verification"] = outcome == "failed" ? "mismatched" : "matched" }
        }
        add(
            outcome == "completed" ? .stepCompleted : .stepBroken, of: ended, at: instant, values,
            text: outcome == "completed" ? "" : error)
    }

    private mutating func change(_ status: String, at instant: MonotonicInstant) {
        changes += 1
        add(.state, at: instant, ["change": .integer(changes)], text: status)
    }

    // MARK: Events

    private mutating func add(
        _ kind: ProcessEvent.Kind, of step: Step? = nil, at instant: MonotonicInstant, _ values: Values = [:],
        text: String = ""
    ) {
        numbers += 1
        events.append(
            ProcessEvent(
                process: process, number: numbers, time: moment(instant), kind: kind, step: step?.id,
                iterations: step?.iterations ?? [], text: text, values: values))
    }

    private func values(of point: SetPoint) -> Values {
        ["parameter": .integer(Int64(point.parameter.rawValue)), "target": .number(point.value)]
    }

    private func moment(_ instant: MonotonicInstant) -> Timestamp { wall.advanced(by: instant - start) }

    private func stamp(_ instant: MonotonicInstant) -> String { "\(moment(instant))" }
}
