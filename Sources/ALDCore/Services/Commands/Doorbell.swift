/// Rings when somebody inserts a command: ``CommandBell`` in production. It is never the only way to learn of one.
package protocol Doorbell: Sendable {
    /// Whether it can be heard; while it cannot, commands have to be looked for more often.
    var isWorking: Bool { get }

    /// Listens until it is cancelled.
    func run() async
}

/// Makes the bell that calls this for every ring; the call must not wait.
package typealias DoorbellMaker = (_ onRing: @escaping @Sendable () -> Void) -> any Doorbell
