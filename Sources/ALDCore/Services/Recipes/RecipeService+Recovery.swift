import Logging
import Synchronization

extension RecipeService {
    /// How long records of an earlier start may take to land once the database is back, before a process that they may
    /// say the end of is ended without them.
    private static let landingPatience: Duration = .seconds(30)

    /// Closes what an earlier process may have left open, as soon as the controller is there, and then ends what the
    /// database takes for running.
    func recover() async {
        guard await secure() else { return }
        await endLeftProcesses()
        state.withLock { $0.isRecovered = true }
        wakeup.signal()
    }

    /// - Returns: whether the machine is safe; no recipe starts before.
    private func secure() async -> Bool {
        while !Task.isCancelled, !state.withLock(\.isStopping) {
            do {
                if let label = try await runner.recover(by: time.now + .seconds(5)) {
                    logger.warning(
                        "an earlier recipe service ended without a word; its valves are closed",
                        metadata: ["run": "\(label)"])
                }
                state.withLock { $0.unsafe = nil }
                return true
            } catch {
                let isNews = state.withLock { state in
                    defer { state.unsafe = "\(error)" }
                    return state.unsafe != "\(error)"
                }
                if isNews {
                    logger.critical("the machine is not known to be safe", metadata: ["reason": "\(error)"])
                }
                // Cancelled: the loop ends.
                do { try await time.sleep(for: .seconds(1)) } catch {}
            }
        }
        return false
    }

    private func endLeftProcesses() async {
        var reachedAt: MonotonicInstant?
        var ended: Set<Int64> = []
        while !Task.isCancelled, !state.withLock(\.isStopping) {
            let left = await reach.reaching("processes that were left cannot be looked for") {
                try await desk.open(deadline: time.now + Self.tableTimeout)
            }
            if let left {
                if left.isEmpty { return }
                let since = reachedAt ?? time.now
                reachedAt = since
                // What the earlier process has written down may still be on its way, perhaps even its end.
                if writer.statistics.spooled == 0 || time.now - since > Self.landingPatience {
                    await end(left.filter { !ended.contains($0.id) }, &ended)
                }
            }
            // Cancelled: the loop ends.
            do { try await time.sleep(for: .milliseconds(left == nil ? 250 : 50)) } catch {}
        }
    }

    private func end(_ left: [RecipeDesk.LeftProcess], _ ended: inout Set<Int64>) async {
        guard !left.isEmpty else { return }
        let now = time.wallClock
        let events = left.map { process in
            let place = process.step.map { "in step \($0)" } ?? "between two steps"
            let error =
                "the recipe service ended without a word, \(place), after \(process.completed) of \(process.total) steps; "
                + "what it may have left open was closed when the next one started"
            return ProcessEvent(
                process: process.id, number: 1, time: now, kind: .state, text: "aborted",
                values: ["error": .text(error)])
        }
        do throws(SpoolError) {
            try await writer.append(.processEvents(events), machine: configuration.machine)
            logger.warning(
                "a process was left running and is ended as aborted", metadata: ["processes": "\(left.map(\.id))"])
            ended.formUnion(left.map(\.id))
        } catch {
            logger.error("the end of a process is not accepted", metadata: ["reason": "\(error)"])
        }
    }

    /// Keeps our commands ours, and finds out how those ended that an earlier service left.
    func keepHouse() async {
        while !Task.isCancelled {
            let ours = state.withLock { $0.executing.sorted() }
            let deadline = time.now + Self.tableTimeout
            let adopted = await reach.reaching("recipe commands cannot be looked after") {
                if !ours.isEmpty { try await desk.renew(ours, deadline: deadline) }
                return try await desk.adopt(deadline: deadline)
            }
            state.withLock { state in
                let strangers = (adopted ?? []).filter { !state.executing.contains($0.id) }
                state.adopted += strangers
                state.executing.formUnion(strangers.map(\.id))
            }
            for command in state.withLock(\.adopted) { await judge(command) }
            // Cancelled: the loop ends.
            do { try await time.sleep(for: configuration.lease / 3) } catch {}
        }
    }

    private func judge(_ command: RecipeDesk.Taken) async {
        let outcome = await reach.reaching("commands that were left cannot be judged") {
            try await desk.outcome(of: command, deadline: time.now + Self.tableTimeout)
        }
        guard let outcome else { return }
        let silence = "the recipe service that executed it ended without a word"
        switch (command.kind, outcome?.status) {
        // Its end is on its way.
        case (.start, ""?), (.stop, ""?): return
        case (.start, nil): finish(command, error: "\(silence), before anything was begun")
        case (.start, "completed"?): finish(command, error: nil, process: outcome?.process)
        case (.start, let status?):
            finish(command, error: [status, outcome?.error].compactMap(\.self).joined(separator: ": "))
        case (.stop, nil), (.stop, _?): finish(command, error: nil)
        case (.pause, _), (.resume, _): finish(command, error: silence, isDoubtful: true)
        }
        state.withLock { state in state.adopted.removeAll { $0.id == command.id } }
    }
}
