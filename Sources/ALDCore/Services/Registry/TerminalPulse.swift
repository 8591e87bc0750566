/// Decides what one terminal tells the registry next.
struct TerminalPulse: Sendable {
    enum State: Hashable, Sendable {
        /// The database has not heard of it yet. It works meanwhile. Can transition to: registered, displaced.
        case unregistered
        /// Can transition to: unregistered, displaced, ended.
        case registered(Int64)
        /// Another one lives and this one must do nothing any more.
        case displaced(String)
        case ended
    }

    enum Action: Hashable, Sendable {
        /// Enter it. Whoever had its lock before is dead, and these entries may be its own already.
        case register(after: [Int64], unless: [Int64])
        case beat(Int64)
        case sayGoodbye(Int64)
        case doNothing
    }

    enum Event: Hashable, Sendable {
        /// The database has given it a number; whether it keeps that is told by the commit, whose answer may be lost.
        case entering(Int64)
        case registered(Int64)
        /// Another one lives.
        case refused(String)
        case heard
        /// The entry has ended, or another one has taken its place.
        case unknown
        case stop
    }

    private(set) var state = State.unregistered
    private let predecessors: [Int64]
    /// Entries of its own that the database may or may not have.
    private var inDoubt: [Int64] = []
    private var isStopping = false

    /// As many as a lock notes. At the bound the oldest is forgotten: one that is committed so late counts as a
    /// stranger.
    static let mostInDoubt = 8

    init(predecessors: [Int64]) {
        self.predecessors = predecessors
    }

    func next() -> Action {
        switch (state, isStopping) {
        case (.unregistered, false): return .register(after: predecessors, unless: inDoubt)
        case (.registered(let instance), false): return .beat(instance)
        case (.registered(let instance), true): return .sayGoodbye(instance)
        case (.unregistered, true): return inDoubt.last.map { .sayGoodbye($0) } ?? .doNothing
        case (.displaced, _), (.ended, _): return .doNothing
        }
    }

    /// Every entry that would be a dead one if this process ended now.
    var entries: [Int64] {
        switch state {
        case .unregistered: predecessors + inDoubt
        case .registered(let instance): [instance]
        case .displaced, .ended: []
        }
    }

    mutating func happened(_ event: Event) {
        switch (state, event) {
        case (.unregistered, .entering(let instance)): inDoubt = (inDoubt + [instance]).suffix(Self.mostInDoubt)
        case (.unregistered, .registered(let instance)): (state, inDoubt) = (.registered(instance), [])
        case (.unregistered, .refused(let reason)): state = .displaced(reason)
        case (.unregistered, .heard): if isStopping { state = .ended }
        // Whether somebody else lives is told by the next attempt to register.
        case (.registered, .unknown): state = isStopping ? .ended : .unregistered
        case (.registered, .heard): if isStopping { state = .ended }
        case (.registered, .stop), (.unregistered, .stop): isStopping = true
        case (.unregistered, _), (.registered, _), (.displaced, _), (.ended, _): break
        }
    }
}
