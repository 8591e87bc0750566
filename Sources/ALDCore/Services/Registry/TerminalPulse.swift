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
        /// Enter it; whoever had its lock before is dead.
        case register(after: Int64?)
        case beat(Int64)
        case sayGoodbye(Int64)
        case doNothing
    }

    enum Event: Hashable, Sendable {
        case registered(Int64)
        /// Another one lives.
        case refused(String)
        case heard
        /// The entry has ended, or another one has taken its place.
        case unknown
        case stop
    }

    private(set) var state = State.unregistered
    private let predecessor: Int64?
    private var isStopping = false

    init(predecessor: Int64?) {
        self.predecessor = predecessor
    }

    func next() -> Action {
        switch (state, isStopping) {
        case (.unregistered, false): .register(after: predecessor)
        case (.registered(let instance), false): .beat(instance)
        case (.registered(let instance), true): .sayGoodbye(instance)
        case (.unregistered, true), (.displaced, _), (.ended, _): .doNothing
        }
    }

    mutating func happened(_ event: Event) {
        switch (state, event) {
        case (.unregistered, .registered(let instance)): state = .registered(instance)
        case (.unregistered, .refused(let reason)): state = .displaced(reason)
        // Whether somebody else lives is told by the next attempt to register.
        case (.registered, .unknown): state = isStopping ? .ended : .unregistered
        case (.registered, .heard): if isStopping { state = .ended }
        case (.registered, .stop), (.unregistered, .stop): isStopping = true
        case (.unregistered, _), (.registered, _), (.displaced, _), (.ended, _): break
        }
    }
}
