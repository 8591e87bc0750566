/// What a server's `start` and `stop` may do when they meet. Decides only; binds and closes nothing.
///
/// - `Listener`: what is bound.
/// - `Waiter`: a caller of `stop`.
struct ServerLifecycle<Listener: Sendable, Waiter: Sendable>: Sendable {
    private enum State: Sendable {
        /// Nothing is bound. Can transition to: `starting`.
        case stopped
        /// The port is being bound. Once somebody waits for the end of it, the listener is closed as soon as it is
        /// there. Can transition to: `running`, `rebooting`, `stopping`, `stopped`.
        case starting(waiting: [Waiter])
        /// Connections are accepted. Can transition to: `rebooting`, `stopping`.
        case running(Listener)
        /// The listener is closed until the device has restarted. Can transition to: `starting`, `stopping`.
        case rebooting
        /// Listener and connections are being closed. Can transition to: `stopped`.
        case stopping(waiting: [Waiter])
    }

    private var state = State.stopped
    /// Restarts so far.
    private var reboots = 0

    /// What is bound and accepts connections.
    var listener: Listener? {
        if case .running(let listener) = state { listener } else { nil }
    }

    /// Somebody wants the server to run.
    ///
    /// - Returns: whether to bind; if not, it runs or is being started or stopped.
    mutating func start() -> Bool {
        guard case .stopped = state else { return false }
        state = .starting(waiting: [])
        return true
    }

    enum BoundAction {
        /// Accept connections.
        case serve
        /// Close everything, then report ``closed()``: it was stopped meanwhile.
        case close
    }

    /// The bind asked for by ``start()`` succeeded.
    mutating func bound(_ listener: Listener) -> BoundAction {
        guard case .starting(let waiting) = state, !waiting.isEmpty else {
            state = .running(listener)
            return .serve
        }
        state = .stopping(waiting: waiting)
        return .close
    }

    enum StopAction {
        /// Nothing runs: the waiter may go on.
        case resume
        /// The waiter is kept until ``closed()`` or ``bindFailed()``.
        case wait
        /// Close everything, then report ``closed()``, which also returns this waiter. There is no listener while the
        /// device restarts.
        case close(Listener?)
    }

    /// Somebody wants the server to end.
    mutating func stop(_ waiter: Waiter) -> StopAction {
        switch state {
        case .stopped:
            return .resume
        case .starting(let waiting):
            state = .starting(waiting: waiting + [waiter])
            return .wait
        case .running(let listener):
            state = .stopping(waiting: [waiter])
            return .close(listener)
        case .rebooting:
            state = .stopping(waiting: [waiter])
            return .close(nil)
        case .stopping(let waiting):
            state = .stopping(waiting: waiting + [waiter])
            return .wait
        }
    }

    /// The device restarts.
    ///
    /// - Returns: the listener to close; nil when none is open.
    mutating func reboot() -> Listener? {
        guard case .running(let listener) = state else { return nil }
        reboots += 1
        state = .rebooting
        return listener
    }

    /// The device has restarted.
    ///
    /// - Parameter reboot: of which restart the listener could not be opened before; nil at the first attempt. A second
    ///   attempt may come so late that the server was stopped and started since, and restarts once more.
    /// - Returns: whether to bind again and report ``bound(_:)`` or ``rebindFailed()``.
    mutating func reopen(again reboot: Int? = nil) -> Bool {
        guard case .rebooting = state, reboot ?? reboots == reboots else { return false }
        state = .starting(waiting: [])
        return true
    }

    enum RebindAction {
        /// Try ``reopen(again:)`` with this number a little later.
        case retry(reboot: Int)
        /// It was stopped meanwhile; these waited for it.
        case resume([Waiter])
    }

    /// The bind asked for by ``reopen(again:)`` failed.
    mutating func rebindFailed() -> RebindAction {
        guard case .starting(waiting: let waiting) = state, waiting.isEmpty else { return .resume(end()) }
        state = .rebooting
        return .retry(reboot: reboots)
    }

    /// The bind asked for by ``start()`` failed.
    ///
    /// - Returns: those who waited for the end.
    mutating func bindFailed() -> [Waiter] {
        end()
    }

    /// Listener and connections are closed.
    ///
    /// - Returns: those who waited for it.
    mutating func closed() -> [Waiter] {
        end()
    }

    private mutating func end() -> [Waiter] {
        switch state {
        case .starting(let waiting), .stopping(let waiting):
            state = .stopped
            return waiting
        case .stopped, .running, .rebooting:
            return []
        }
    }
}
