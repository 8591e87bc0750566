/// Carries out one parameter command: it decides what is written and read when, and does nothing itself.
///
/// The order never changes: the record says that the command is being executed, then the value is written, then the set
/// point is read back, then the record says how it ended. So whoever finds a command that is being executed by nobody
/// knows that its value may have been written, and asks the controller (``init(adopting:configuration:now:)``) instead of
/// writing again.
public struct ParameterCommandMachine: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// How long one call to the controller may take. Defaults to 500 ms.
        public var callTimeout: Duration = .milliseconds(500)
        /// Between two tries of what may be tried again. Defaults to 50 ms.
        public var retryInterval: Duration = .milliseconds(50)
        /// How long a set point may take to read back as it was written. Defaults to 1 s.
        public var confirmationTime: Duration = .seconds(1)
        /// Largest difference, in the unit, between what was written and what is read back; one millionth of the value is
        /// always allowed, which is more than single precision rounds. Defaults to 0.
        public var tolerance = 0.0

        public init() {}

        func matches(_ actual: Double, _ value: Double) -> Bool {
            abs(actual - value) <= max(tolerance, abs(value) * 1e-6)
        }
    }

    /// How a command ended, in the words of its table.
    public enum Ending: Hashable, Sendable {
        /// Written and read back.
        case succeeded(actual: Double)
        /// Not executed, or executed without the effect that was asked for.
        case failed(String, actual: Double?)
        /// It may have been executed; somebody has to look.
        case unknown(String, actual: Double?)
    }

    public enum Action: Hashable, Sendable {
        case write(SetPoint, by: MonotonicInstant)
        case readBack(ParameterID, by: MonotonicInstant)
        case wait(until: MonotonicInstant)
        /// A call is under way.
        case listen
        case finish(Ending)
    }

    public enum Event: Hashable, Sendable {
        case written
        case writeFailed(RecipeMachine.WriteFailure)
        case readBack(Double)
        case readBackFailed(String)
        /// The terminal ends; said while no call is under way. What was not written yet never is.
        case stop
    }

    private enum State: Sendable {
        /// Can transition to: confirming, ended.
        case writing
        /// Can transition to: ended.
        case confirming(Confirmation)
        case ended(Ending)
    }

    fileprivate struct Confirmation: Sendable {
        /// The controller has said yes; otherwise nobody knows whether the value was written.
        var isWritten: Bool
        var reason: String
        var until: MonotonicInstant
        var actual: Double?
    }

    private let target: SetPoint
    private let configuration: Configuration
    /// Not written by then, it never is.
    private let notAfter: MonotonicInstant
    private var state: State
    private var isCallUnderWay = false
    /// Why it is not written yet.
    private var trouble: String?
    private var notBefore: MonotonicInstant

    /// Carries out a command whose record says that it is being executed.
    ///
    /// - Parameter notAfter: the command's deadline on the clock of ``next(now:)``.
    public init(
        _ target: SetPoint, notAfter: MonotonicInstant, configuration: Configuration = Configuration(),
        now: MonotonicInstant
    ) {
        self.target = target
        self.configuration = configuration
        self.notAfter = notAfter
        state = .writing
        notBefore = now
    }

    /// Finds out how a command ended that another terminal left while it executed it. Nothing is written.
    public init(
        adopting target: SetPoint, configuration: Configuration = Configuration(), now: MonotonicInstant
    ) {
        self.target = target
        self.configuration = configuration
        notAfter = now
        notBefore = now
        state = .confirming(
            Confirmation(
                isWritten: false, reason: "the terminal that executed it ended without a word",
                until: now + configuration.confirmationTime))
    }

    /// What to do now.
    ///
    /// - Parameter heldUntil: how long nobody but this terminal decides what becomes of the command, on the same clock.
    ///   From then on nothing is written: another terminal may have found out how the command ended, or carried out
    ///   the next one. Of no consequence for a command that was adopted, since nothing of it is written.
    public mutating func next(now: MonotonicInstant, heldUntil: MonotonicInstant) -> Action {
        if isCallUnderWay { return .listen }
        if case .ended(let ending) = state { return .finish(ending) }
        if now < notBefore { return .wait(until: notBefore) }
        switch state {
        case .writing:
            if now >= notAfter {
                return end(.failed(trouble.map { "not written in time: \($0)" } ?? Self.notReached, actual: nil))
            }
            // Nothing was written until now, so this is how it ended, unless somebody else has said so by now.
            if now >= heldUntil { return end(.failed(Self.notHeld, actual: nil)) }
            isCallUnderWay = true
            return .write(target, by: min(now + configuration.callTimeout, notAfter, heldUntil))
        case .confirming(let confirmation):
            if now >= confirmation.until { return end(confirmation.ending(for: target)) }
            isCallUnderWay = true
            return .readBack(target.parameter, by: now + configuration.callTimeout)
        case .ended(let ending): return .finish(ending)
        }
    }

    package static let notReached = "the controller was not reached in time"
    static let notHeld =
        "not written: the terminal's lease on the command had ended, because it stood still or did not reach the database"
    package static let shutDown = "the terminal was shut down before the controller was reached"

    private mutating func end(_ ending: Ending) -> Action {
        state = .ended(ending)
        return .finish(ending)
    }

    public mutating func happened(_ event: Event, now: MonotonicInstant) {
        isCallUnderWay = false
        switch (state, event) {
        case (.writing, .stop):
            state = .ended(.failed(Self.shutDown, actual: nil))
        case (.writing, .written): confirm(isWritten: true, "", now: now)
        case (.writing, .writeFailed(.unreachable(let reason))):
            trouble = reason
            notBefore = now + configuration.retryInterval
        case (.writing, .writeFailed(.refused(let reason))): state = .ended(.failed(reason, actual: nil))
        case (.writing, .writeFailed(.unknownOutcome(let reason))): confirm(isWritten: false, reason, now: now)
        case (.confirming(let confirmation), .readBack(let actual)): confirmed(confirmation, actual, now: now)
        case (.confirming(var confirmation), .readBackFailed(let reason)):
            if confirmation.isWritten { confirmation.reason = reason }
            state = .confirming(confirmation)
            notBefore = now + configuration.retryInterval
        case (.writing, _), (.confirming, _), (.ended, _): break
        }
    }

    private mutating func confirm(isWritten: Bool, _ reason: String, now: MonotonicInstant) {
        state = .confirming(
            Confirmation(isWritten: isWritten, reason: reason, until: now + configuration.confirmationTime))
        notBefore = now
    }

    private mutating func confirmed(_ confirmation: Confirmation, _ actual: Double, now: MonotonicInstant) {
        if configuration.matches(actual, target.value) {
            state = .ended(.succeeded(actual: actual))
            return
        }
        // A controller may show what was written only after its next cycle.
        var confirmation = confirmation
        confirmation.actual = actual
        state = .confirming(confirmation)
        notBefore = now + configuration.retryInterval
    }
}

extension ParameterCommandMachine.Confirmation {
    /// What is known when its time is up.
    fileprivate func ending(for target: SetPoint) -> ParameterCommandMachine.Ending {
        // The sentence goes on.
        let reason = reason.hasSuffix(".") ? String(reason.dropLast()) : reason
        return switch (isWritten, actual) {
        case (true, let actual?): .failed("written, and reads back as \(actual)", actual: actual)
        case (true, nil): .unknown("written, and could not be read back: \(reason)", actual: nil)
        case (false, let actual?): .unknown("\(reason); it reads back as \(actual)", actual: actual)
        case (false, nil): .unknown("\(reason); it could not be read back either", actual: nil)
        }
    }
}
