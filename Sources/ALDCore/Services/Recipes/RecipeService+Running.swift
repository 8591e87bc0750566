import Logging
import Synchronization

extension RecipeService {
    /// Looks at everything, runs the recipe and notes how it ended.
    func perform(_ command: RecipeDesk.Taken, _ log: Logger) async {
        defer {
            state.withLock { $0.run = nil }
            wakeup.signal()
        }
        let recipe: Recipe
        let tolerances: [ParameterID: Double]
        let process: Int64
        do {
            (recipe, tolerances) = try await pass(command)
            state.withLock { $0.run?.recipe = recipe.name }
            process = try await enter(recipe, command)
        } catch {
            state.withLock { ($0.status.refused, $0.status.lastProblem) = ($0.status.refused + 1, "\(error)") }
            log.warning("the recipe does not start", metadata: ["reason": "\(error)"])
            return finish(command, error: "\(error)")
        }
        var log = log
        log[metadataKey: "process"] = "\(process)"
        log[metadataKey: "recipe"] = "\(recipe.name)"
        await execute(recipe, tolerances, process, command, log)
    }

    /// The gate before a start. Nothing is written to the machine or about it before it is passed.
    private func pass(_ command: RecipeDesk.Taken) async throws -> (Recipe, tolerances: [ParameterID: Double]) {
        let recipe = try await desk.load(command, deadline: tableDeadline)
        let problems = RecipeRules(plc.registerMap, interlocks: configuration.interlocks).problems(of: recipe)
        guard problems.isEmpty else { throw RecipeRunner.Refusal.unsound(problems) }
        let tolerances = try await desk.readbackTolerances(deadline: tableDeadline)
        let conditions = try await desk.idleConditions(deadline: tableDeadline)
        let scan: Scan
        do throws(PLCError) {
            scan = try await plc.scan(deadline: time.now + configuration.gateTimeout)
        } catch {
            throw RecipeRunner.Refusal.controller("\(error)")
        }
        let unmet = conditions.compactMap { $0.problem(in: scan, of: plc.registerMap) }
        guard unmet.isEmpty else { throw NotIdle(reasons: unmet) }
        return (recipe, tolerances)
    }

    /// Enters the process. While an answer may have been lost it is asked for again, since a process that nobody runs keeps
    /// everybody from the machine; not for long, since the machine was looked at before. What was entered all the same is
    /// ended by ``endStrayProcesses()``.
    private func enter(_ recipe: Recipe, _ command: RecipeDesk.Taken) async throws -> Int64 {
        let patience = time.now + configuration.tableTimeout * 2
        let valves = configuration.interlocks.valves.map(\.rawValue).sorted()
        var isInDoubt = false
        while true {
            let attempt: Result<Int64, any Error>
            do {
                attempt = .success(
                    try await desk.begin(
                        command, steps: recipe.extent?.steps ?? 0, valves: valves, deadline: tableDeadline
                    ).get())
            } catch {
                isInDoubt = isInDoubt || (error as? PostgresError)?.effect == .unknown
                attempt = .failure(error)
            }
            if case .failure(let error) = attempt, error is PostgresError, isInDoubt, time.now < patience,
                !state.withLock(\.isStopping)
            {
                // Cancelled: the loop ends.
                do { try await time.sleep(for: .milliseconds(50)) } catch {}
                continue
            }
            return try attempt.get()
        }
    }

    /// What must hold before a recipe starts does not.
    struct NotIdle: Error, CustomStringConvertible {
        let reasons: [String]

        var description: String {
            let more = reasons.count > 10 ? "; and \(reasons.count - 10) more" : ""
            return "the machine is not ready: " + reasons.prefix(10).joined(separator: "; ") + more
        }
    }

    private func execute(
        _ recipe: Recipe, _ tolerances: [ParameterID: Double], _ process: Int64, _ command: RecipeDesk.Taken,
        _ log: Logger
    ) async {
        state.withLock { state in
            state.status.started += 1
            state.run?.process = process
            state.processes.insert(process)
        }
        log.notice("the recipe begins", metadata: ["by": "\(command.words)"])
        let recorder = ProcessRecorder(writer: writer, machine: configuration.machine, time: time, logger: log)
        state.withLock { $0.run?.recorder = recorder }
        let narrator = ProcessNarrator(process: process, recipe: recipe, start: time.now, wall: time.wallClock)
        let ending = await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await recorder.run(narrator) {
                    self.state.withLock(\.stopsBy).map { self.time.now >= $0 } ?? false
                }
            }
            let ending: RecipeMachine.Ending
            do {
                if state.withLock(\.isStopping) { throw ShuttingDown() }
                ending = try await runner.run(
                    recipe, label: command.label(of: process), process: process, tolerances: tolerances
                ) { records, _ in
                    recorder.note(records)
                    self.notice(records)
                }
            } catch {
                // Nothing was written: the machine is as it was.
                ending = RecipeMachine.Ending(outcome: .aborted("\(error)"))
            }
            recorder.end(ending)
            await group.waitForAll()
            return ending
        }
        note(ending, of: process, command, log)
    }

    private struct ShuttingDown: Error, CustomStringConvertible {
        let description = "the recipe service was shut down"
    }

    private func notice(_ records: [RecipeMachine.Record]) {
        for record in records {
            switch record {
            case .paused: state.withLock { $0.run?.isPaused = true }
            case .resumed: state.withLock { $0.run?.isPaused = false }
            default: break
            }
        }
    }

    private func note(
        _ ending: RecipeMachine.Ending, of process: Int64, _ command: RecipeDesk.Taken, _ log: Logger
    ) {
        var reason: String?
        state.withLock { state in
            switch ending.outcome {
            case .completed: state.status.completed += 1
            case .aborted(let why): (state.status.aborted, reason) = (state.status.aborted + 1, "aborted: \(why)")
            case .failed(let why): (state.status.failed, reason) = (state.status.failed + 1, why)
            }
            if let reason { state.status.lastProblem = reason }
        }
        if let reason {
            log.warning("the recipe has ended before its end", metadata: ["reason": "\(reason)"])
        } else {
            log.notice("the recipe has run to its end")
        }
        if !ending.unsecured.isEmpty {
            log.critical(
                "these may not be safe: the controller was not reached in time; the next start closes them first",
                metadata: ["parameters": "\(ending.unsecured.map(\.parameter.description))"])
        }
        finish(command, error: reason, process: process)
    }

    // MARK: Stop, pause, resume

    /// Succeeds when the process has ended and its machine is safe.
    func stop(_ command: RecipeDesk.Taken) async {
        guard await reachRun(of: command, .stop("stopped by \(command.words)")) else { return }
        finish(command, error: nil, process: command.process)
    }

    func tell(_ command: RecipeDesk.Taken, _ request: RecipeRunner.Request) async {
        guard await reachRun(of: command, request) else { return }
        finish(command, error: nil)
    }

    /// Tells the run that a command means; one that is not under way here ends the command as failed.
    private func reachRun(of command: RecipeDesk.Taken, _ request: RecipeRunner.Request) async -> Bool {
        // A run that is just beginning has no number, and hears nothing for a moment.
        while true {
            let destination = state.withLock { $0.destination(of: command.process) }
            if destination == .elsewhere { break }
            // Before the run hears of it, so that its answer is never the older of the two.
            let asked = time.now
            if destination == .here, runner.tell(request) {
                state.withLock(\.run)?.recorder?.noteRequest("\(command.kind.rawValue) by \(command.words)", at: asked)
                return true
            }
            // Cancelled: the loop ends with the run.
            do { try await time.sleep(for: .milliseconds(2)) } catch {}
        }
        finish(
            command,
            error: "process \(command.process.map { "\($0)" } ?? "none") is not under way at this recipe service")
        return false
    }

    // MARK: Ends of commands

    func finish(_ command: RecipeDesk.Taken, error: String?, process: Int64? = nil, isDoubtful: Bool = false) {
        let error = error.map { $0.isEmpty ? "no reason was given" : $0.storable }
        state.withLock {
            $0.finished.append(
                RecipeDesk.Finished(id: command.id, error: error, process: process, isDoubtful: isDoubtful))
        }
        noting.signal()
    }

    /// Notes ends in the table, until the service stops and none is left or the time is up.
    func noteEnds() async {
        var pause = Self.shortestPause
        while true {
            let (finished, isDone, stopsBy) = state.withLock { state in
                (state.finished, state.isStopping && state.run == nil && state.finished.isEmpty, state.stopsBy)
            }
            if isDone { return }
            if let stopsBy, time.now >= stopsBy {
                if !finished.isEmpty {
                    logger.warning(
                        "ends of commands are not noted; the next start does it",
                        metadata: ["commands": "\(finished.map(\.id))"])
                }
                return
            }
            var left = 0
            for command in finished where await !note(command) { left += 1 }
            if left == 0 {
                pause = Self.shortestPause
                let next = stopsBy.map { min($0, time.now + .milliseconds(50)) }
                if let next { await noting.wait(until: next, time: time) } else { await noting.wait() }
            } else {
                await noting.wait(until: time.now + pause, time: time)
                pause = min(pause * 2, .milliseconds(500))
            }
        }
    }

    private static var shortestPause: Duration { .milliseconds(5) }

    /// - Returns: whether nothing is left to be done about it.
    private func note(_ finished: RecipeDesk.Finished) async -> Bool {
        let stopsBy = state.withLock(\.stopsBy)
        let deadline = min(tableDeadline, stopsBy ?? tableDeadline)
        let noted = await reach.reaching("the end of a command cannot be noted") {
            try await desk.finish(finished, deadline: deadline)
        }
        guard let answer = noted else { return false }
        if answer == false { return false }
        if answer == nil {
            logger.error("a command was taken away while it was executed", metadata: ["command": "\(finished.id)"])
        }
        state.withLock { state in
            state.finished.removeAll { $0.id == finished.id }
            state.executing.remove(finished.id)
            if let process = finished.process { state.processes.remove(process) }
        }
        // The next start command may be taken now.
        wakeup.signal()
        return true
    }
}
