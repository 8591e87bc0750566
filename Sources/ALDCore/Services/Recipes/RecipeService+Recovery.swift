import Logging
import Synchronization

extension RecipeService {
    /// How long records of an earlier start may take to land once the database is back, before a process that they may
    /// say the end of is ended without them.
    private static let landingPatience: Duration = .seconds(30)

    /// Closes what an earlier process may have left open, as soon as the controller is there, and then ends what the
    /// database takes for running.
    func recover() async {
        guard await secure({ [runner] in try await runner.recover(by: $0, observer: $1) }) else { return }
        await endLeftProcesses()
        state.withLock { $0.isRecovered = true }
        wakeup.signal()
    }

    private typealias Securing =
        @Sendable (
            _ deadline: MonotonicInstant, _ observer: @escaping RecipeRunner.Observer
        ) async throws -> RecipeJournal.Entry?

    /// - Returns: whether the machine is safe; no recipe starts before.
    private func secure(_ securing: Securing) async -> Bool {
        let told = Told()
        while !Task.isCancelled, !state.withLock(\.isStopping) {
            let attempt: Result<RecipeJournal.Entry?, any Error>
            do {
                attempt = .success(
                    try await securing(time.now + .seconds(5)) { records, _ in told.records.withLock { $0 += records } }
                )
            } catch {
                attempt = .failure(error)
            }
            switch attempt {
            case .success(let entry):
                state.withLock { $0.unsafe = nil }
                guard let entry else { return true }
                logger.warning(
                    "an earlier recipe service ended without a word; its valves are closed",
                    metadata: ["run": "\(entry.label)"])
                await tell(told.records.withLock(\.self), of: entry)
                return true
            case .failure(let error):
                let isNews = state.withLock { state in
                    defer { state.unsafe = "\(error)" }
                    return state.unsafe != "\(error)"
                }
                if isNews {
                    logger.critical("the machine is not known to be safe", metadata: ["reason": "\(error)"])
                }
            }
            // Cancelled: the loop ends.
            do { try await time.sleep(for: .seconds(1)) } catch {}
        }
        return false
    }

    private final class Told: Sendable {
        let records = Mutex<[RecipeMachine.Record]>([])
    }

    /// What was closed and made safe belongs to the process that had left it so.
    private func tell(_ records: [RecipeMachine.Record], of entry: RecipeJournal.Entry) async {
        guard let process = entry.process, !records.isEmpty else { return }
        var narrator = ProcessNarrator(securing: process, now: time.now, wall: time.wallClock)
        await record(narrator.tell(records))
    }

    /// Until they are accepted, or the service stops; once in any case, for the journal has said already that all is closed.
    private func record(_ events: [ProcessEvent]) async {
        var reports = ReportThrottle<String>()
        repeat {
            let refusal: SpoolError
            do throws(SpoolError) {
                try await writer.append(.processEvents(events), machine: configuration.machine)
                return
            } catch {
                refusal = error
            }
            if reports.isDue("disk", now: time.now) {
                logger.error("what was made safe is not accepted", metadata: ["reason": "\(refusal)"])
            }
            // Cancelled: the loop ends.
            do { try await time.sleep(for: .seconds(1)) } catch {}
        } while !Task.isCancelled && !state.withLock(\.isStopping)
    }

    /// What the database takes for running and this terminal does not run. Its journal may lie on another host, so what the
    /// process may have left open is closed first, unless our own journal says that it was closed.
    private func endLeftProcesses() async {
        var reachedAt: MonotonicInstant?
        var (secured, ended): (Set<Int64>, Set<Int64>) = ([], [])
        while !Task.isCancelled, !state.withLock(\.isStopping) {
            let left = await reach.reaching("processes that were left cannot be looked for") {
                try await desk.open(deadline: tableDeadline)
            }
            if let left {
                if left.isEmpty { return }
                for process in left where !secured.contains(process.id) {
                    // With the valves of our own interlocks, too.
                    var entry = process.entry
                    entry.valves = configuration.interlocks.valves.union(entry.valves).sorted()
                    guard await secure({ [runner, entry] in try await runner.recover(entry, by: $0, observer: $1) })
                    else {
                        return
                    }
                    secured.insert(process.id)
                }
                let since = reachedAt ?? time.now
                reachedAt = since
                // What the earlier process has written down may still be on its way, perhaps even its end.
                if writer.statistics.spooled == 0 || time.now - since > Self.landingPatience {
                    await end(left.filter { !ended.contains($0.id) }, &ended) { process in
                        let place = process.step.map { "in step \($0)" } ?? "between two steps"
                        return "the recipe service ended without a word, \(place), after \(process.completed) of "
                            + "\(process.total) steps; what it may have left open was closed when the next one started"
                    }
                }
            }
            // Cancelled: the loop ends.
            do { try await time.sleep(for: .milliseconds(left == nil ? 250 : 50)) } catch {}
        }
    }

    private func end(
        _ left: [RecipeDesk.LeftProcess], _ ended: inout Set<Int64>, _ reason: (RecipeDesk.LeftProcess) -> String
    ) async {
        guard !left.isEmpty else { return }
        let now = time.wallClock
        let events = left.map { process in
            ProcessEvent(
                process: process.id, number: 1, time: now, kind: .state, text: "aborted",
                values: ["error": .text(reason(process))])
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

    /// Story: a process is entered and the answer is lost for so long that its command has failed. Nobody runs it, and
    /// while it is open nobody else can run anything. One that an earlier start has left is none, though its command may be
    /// ours by now: it is secured first.
    private func endStrayProcesses(_ ended: inout Set<Int64>) async {
        // Before the question: what begins or ends meanwhile is none.
        let known = state.withLock { $0.isRecovered && $0.run == nil ? $0.processes.union(ended) : nil }
        guard let known else { return }
        let open = await reach.reaching("processes that nobody runs cannot be looked for") {
            try await desk.open(deadline: tableDeadline)
        }
        let strays = (open ?? []).filter { $0.isOurs && !known.contains($0.id) }
        if state.withLock({ $0.run != nil }) { return }
        await end(strays, &ended) { _ in "nothing was begun: the database did not answer in time" }
    }

    /// Keeps our commands ours, and finds out how those ended that an earlier service left.
    func keepHouse() async {
        var ended: Set<Int64> = []
        while !Task.isCancelled {
            let ours = state.withLock { $0.executing.sorted() }
            let deadline = tableDeadline
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
            await endStrayProcesses(&ended)
            // Cancelled: the loop ends.
            do { try await time.sleep(for: configuration.lease / 3) } catch {}
        }
    }

    private func judge(_ command: RecipeDesk.Taken) async {
        let outcome = await reach.reaching("commands that were left cannot be judged") {
            try await desk.outcome(of: command, deadline: tableDeadline)
        }
        guard let outcome else { return }
        let silence = "the recipe service that executed it ended without a word"
        switch (command.kind, outcome?.status) {
        // Its end is on its way.
        case (.start, ""?): return
        case (.stop, ""?):
            // Perhaps the run has never heard of it; to hear it twice does no harm.
            if state.withLock({ $0.destination(of: command.process) }) == .here {
                runner.tell(.stop("stopped by \(command.words)"))
            }
            return
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
