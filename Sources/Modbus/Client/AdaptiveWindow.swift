import NIOCore

/// How many requests a device may be sent before it has answered the first: found out by trying, because no device
/// says so and the guess that is too high loses requests.
///
/// It starts at 1. One more is tried when 20 replies were clean and more requests wait than may leave; the trial
/// pays when the next 20 come at least 10 % faster, none of them later than is sound. Misbehaviour halves the window
/// at once. Lives as long as the client: what was learnt about a device does not end with a connection.
struct AdaptiveWindow: Sendable {
    /// What happened, as far as it says something about the device.
    enum Event: Sendable {
        /// A request was answered well, so long after it was sent. `isWanted`: another one waits for room.
        case answered(after: TimeAmount, isWanted: Bool)
        /// What left or came changed how many are unanswered.
        case inFlight(Int)
        /// A request that shared the wire with others was skipped, refused as busy or not answered in time.
        case misbehaved(sent: NIODeadline)
        /// The peer ended the connection.
        case closed
    }

    /// How the present size came to be.
    private enum Phase: Sendable {
        /// It is 1, or it has paid.
        case settled
        /// It is being tried. `pace`: nanoseconds per reply with one less.
        case trial(pace: Double)
    }

    /// Clean replies before one more is tried, and in a trial.
    static let sample = 20
    /// How much faster replies must come for one more to be kept.
    static let gain = 1.1
    /// A connection that ends so soon after a raise ended because of it.
    static let blame = TimeAmount.seconds(1)
    /// The wait before the next trial after one that did not pay, doubled every time.
    static let firstPause = TimeAmount.minutes(1)
    /// The longest such wait, and how long a device that misbehaved twice at 2 is left at 1.
    static let longestPause = TimeAmount.hours(1)

    /// How many requests may be unanswered now.
    private(set) var size = 1

    private let maximum: Int
    /// Half of the time after which a silent peer is given up: so close to it the window must not get.
    private let soundWait: TimeAmount
    private var phase = Phase.settled
    /// Clean replies that came while the window was full, and how long it was full for them.
    private var replies = 0
    private var busy = TimeAmount.zero
    private var fullSince: NIODeadline?
    private var raised: NIODeadline?
    private var lowered: NIODeadline?
    private var nextTrial = NIODeadline.uptimeNanoseconds(0)
    private var pause = firstPause
    /// Misbehaviour at 2 since 2 has paid.
    private var strikes = 0

    init(maximum: Int, progressTimeout: TimeAmount) {
        self.maximum = maximum
        self.soundWait = .nanoseconds(progressTimeout.nanoseconds / 2)
    }

    /// - Returns: whether the device is to blame: for ``Event/misbehaved(sent:)`` and ``Event/closed``, that the
    ///   window was above 1 and has been lowered.
    @discardableResult
    mutating func event(_ event: Event, now: NIODeadline) -> Bool {
        switch event {
        case .inFlight(let count):
            fullSince = count >= size ? fullSince ?? now : nil
            return false
        case .answered(let wait, let isWanted):
            answered(after: wait, isWanted: isWanted, now: now)
            return false
        case .misbehaved(let sent):
            return misbehaved(sent: sent, now: now)
        case .closed:
            fullSince = nil
            guard let raised, now - raised <= Self.blame else { return false }
            return misbehaved(sent: now, now: now)
        }
    }

    private mutating func answered(after wait: TimeAmount, isWanted: Bool, now: NIODeadline) {
        if let fullSince {
            busy = busy + (now - fullSince)
            replies += 1
            self.fullSince = nil
        }
        if wait >= soundWait, size > 1 {
            stepBack(now)
            return
        }
        // Answers may come in volleys of the window's size; part of one would say anything about the pace.
        guard replies >= Self.sample, replies.isMultiple(of: size) else { return }
        let pace = Double(busy.nanoseconds) / Double(replies)
        if case .trial(let former) = phase {
            guard pace * Self.gain <= former else {
                stepBack(now)
                return
            }
            phase = .settled
            pause = Self.firstPause
            if size == 2 { strikes = 0 }
        }
        if isWanted, size < maximum, nextTrial <= now {
            set(size + 1, .trial(pace: pace))
            raised = now
        } else if replies >= 2 * Self.sample {
            // What the device did long ago counts ever less.
            replies /= 2
            busy = .nanoseconds(busy.nanoseconds / 2)
        }
    }

    /// What was sent before the window was last lowered has had its consequence.
    private mutating func misbehaved(sent: NIODeadline, now: NIODeadline) -> Bool {
        if let lowered, sent < lowered { return false }
        guard size > 1 else {
            set(1, .settled)
            return false
        }
        if size > 2 {
            rest(now)
        } else {
            strikes += 1
            if strikes >= 2 {
                strikes = 0
                nextTrial = now + Self.longestPause
            }
        }
        set(size / 2, .settled)
        lowered = now
        return true
    }

    private mutating func stepBack(_ now: NIODeadline) {
        set(size - 1, .settled)
        rest(now)
    }

    private mutating func rest(_ now: NIODeadline) {
        nextTrial = now + pause
        pause = min(.nanoseconds(pause.nanoseconds * 2), Self.longestPause)
    }

    private mutating func set(_ size: Int, _ phase: Phase) {
        self.size = size
        self.phase = phase
        raised = nil
        replies = 0
        busy = .zero
        fullSince = nil
    }
}
