public import Logging
import Synchronization

/// Closes what an earlier process may have left open while everything else still starts: a spool, a server or a database
/// that does not answer may take longer than a valve may be open.
///
/// Whose machine another terminal runs by now does not write to it: that is asked for first, for a moment. What is not known
/// keeps no valve open.
///
/// The journal goes on saying that the run was cut off. So the ``RecipeService`` that starts later closes everything once
/// more and writes down what became of the run.
public final class StartupSecuring: Sendable {
    private struct State {
        /// Somebody wants it to end by then.
        var leavesBy: MonotonicInstant?
        var isEnded = false
    }

    private let runner: RecipeRunner
    private let rival: @Sendable () async -> String?
    private let logger: Logger
    private let state = Mutex(State())
    private let ended = Wakeup()

    /// - Parameters:
    ///   - plc: the machine that the journal is about.
    ///   - journal: path of the file, as the ``RecipeService`` gets it. Nobody else may use it meanwhile.
    ///   - rival: who else runs the machine's recipes by now; `nil` when nobody does, or when that cannot be found out soon.
    ///     Must answer within a few seconds.
    /// - Throws: everything that is wrong with the interlocks.
    public init(
        plc: any PLC, interlocks: Interlocks, journal: String, rival: @escaping @Sendable () async -> String?,
        time: any TimeSource = SystemTime(), logger: Logger
    ) throws(ConfigurationProblems) {
        runner = try RecipeRunner(
            plc: plc, interlocks: interlocks, journal: RecipeJournal(path: journal), time: time, logger: logger)
        self.rival = rival
        self.logger = logger
    }

    /// Returns when the machine is safe, when nothing was left open, when somebody else runs it, or when it is told to leave.
    /// When the journal cannot be read nothing is done here, and the ``RecipeService`` refuses every run.
    public func run() async {
        defer {
            state.withLock { $0.isEnded = true }
            ended.signal()
        }
        do {
            guard try runner.hasPendingRun() else { return }
            if let rival = await rival() {
                logger.warning("what an earlier recipe service left is not touched", metadata: ["reason": "\(rival)"])
                return
            }
            let left = try await runner.secureWithoutEnd { self.state.withLock(\.leavesBy) }
            guard let left else { return }
            if left.unsecured.isEmpty {
                logger.warning(
                    "an earlier recipe service ended without a word; its valves are closed",
                    metadata: ["run": "\(left.entry.label)"])
            } else {
                logger.critical(
                    "an earlier recipe service ended without a word, and these are not closed yet",
                    metadata: [
                        "run": "\(left.entry.label)", "parameters": "\(left.unsecured.map(\.parameter.description))",
                    ])
            }
        } catch {
            logger.critical("the machine is not known to be safe", metadata: ["reason": "\(error)"])
        }
    }

    /// Lets ``run()`` try until then, and returns when it has ended: nothing is written any more.
    public func leave(by deadline: MonotonicInstant) async {
        let isEnded = state.withLock { state in
            state.leavesBy = min(deadline, state.leavesBy ?? deadline)
            return state.isEnded
        }
        if isEnded { return }
        // Before it has begun it hears nothing, and looks at what was said when it begins.
        runner.tell(.shutDown(by: deadline))
        await ended.waitThroughCancellation()
    }
}
