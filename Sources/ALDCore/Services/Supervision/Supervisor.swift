public import Logging
public import ServiceLifecycle
import Synchronization

/// Keeps one service running that others must not suffer from: when it fails one is asked for again and started, and
/// whoever runs beside it notices nothing. Whether that is a new one or the same decides who is asked; the same must be
/// able to run again.
///
/// What it cannot catch is what ends a whole process; terminals that are to survive that, too, run in processes of
/// their own.
public final class Supervisor: Service {
    /// Where the service is.
    public enum State: Hashable, Sendable {
        case waiting
        case running
        /// It has failed and will be started again.
        case restarting(reason: String, at: MonotonicInstant)
        /// It has ended and stays so. Without a reason it was asked to.
        case ended(reason: String?)
    }

    /// What happens when the service returns by itself.
    public enum End: Hashable, Sendable {
        /// That is a failure, too.
        case isFailure
        /// Then this service has ended as well.
        case isEnd
    }

    private struct Contents {
        var state = State.waiting
        var failures = 0
        var stop: String?
    }

    public let name: String
    private let end: End
    private let supervision: Supervision.Configuration
    private let make: @Sendable () async throws -> any Service
    private let time: any TimeSource
    private let logger: Logger
    private let contents = Mutex(Contents())
    private let stopped = Wakeup()

    /// - Parameters:
    ///   - name: for the log.
    ///   - make: called for every start, for a service that can be run, new or not; what it throws is a failure of it.
    public convenience init(
        _ name: String, end: End = .isFailure, time: any TimeSource = SystemTime(), logger: Logger,
        make: @escaping @Sendable () async throws -> any Service
    ) {
        self.init(name, end: end, supervision: .init(), time: time, logger: logger, make: make)
    }

    init(
        _ name: String, end: End, supervision: Supervision.Configuration, time: any TimeSource, logger: Logger,
        make: @escaping @Sendable () async throws -> any Service
    ) {
        self.name = name
        self.end = end
        self.supervision = supervision
        self.time = time
        self.logger = logger
        self.make = make
    }

    public var state: State { contents.withLock(\.state) }
    /// How often the service has failed.
    public var failures: Int { contents.withLock(\.failures) }

    /// Ends the service in order and starts it no more.
    public func stop(because reason: String) {
        contents.withLock { $0.stop = $0.stop ?? reason }
        stopped.signal()
    }

    /// Runs the service until shutdown or cancellation, until it is stopped, or until it ends where that is no failure.
    public func run() async throws {
        var supervision = Supervision(supervision)
        while contents.withLock({ $0.stop }) == nil, !Task.isCancelled, !Task.isShuttingDownGracefully {
            supervision.started(now: time.now)
            let failure = await runOnce()
            if Task.isCancelled || Task.isShuttingDownGracefully || contents.withLock({ $0.stop }) != nil { break }
            guard let failure = failure ?? (end == .isFailure ? "it has ended by itself" : nil) else { break }
            let next = supervision.failed(now: time.now, chance: Double.random(in: 0..<1))
            contents.withLock { contents in
                contents.failures += 1
                contents.state = .restarting(reason: failure, at: next)
            }
            logger.error(
                "\(name) has failed and is started again",
                metadata: ["reason": "\(failure)", "after": "\(next - time.now)"])
            await cancelWhenGracefulShutdown { await self.stopped.wait(until: next, time: self.time) }
        }
        contents.withLock { $0.state = .ended(reason: $0.stop) }
    }

    /// - Returns: why it failed; `nil` when it has just ended.
    private func runOnce() async -> String? {
        do {
            let service = try await make()
            let group = ServiceGroup(
                configuration: .init(
                    services: [
                        .init(
                            service: service, successTerminationBehavior: .gracefullyShutdownGroup,
                            failureTerminationBehavior: .gracefullyShutdownGroup)
                    ], logger: logger))
            contents.withLock { $0.state = .running }
            // Whoever said stop while the service was being made is heard here.
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { await self.shutDownWhenStopped(group) }
                defer { tasks.cancelAll() }
                try await group.run()
            }
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func shutDownWhenStopped(_ group: ServiceGroup) async {
        while !Task.isCancelled {
            if contents.withLock({ $0.stop }) != nil { return await group.triggerGracefulShutdown() }
            await stopped.wait()
        }
    }
}
