import ALDCore
import Foundation
import Synchronization

/// A proxy on 127.0.0.1 before a server, whose connections a test delays, slices, cuts, garbles and freezes. What becomes
/// of a connection is decided by ``ConnectionGate``, of its bytes by ``FaultStream``; one thread of its own moves them.
public final class FaultProxy: Sendable {
    public enum Direction: Hashable, Sendable, CaseIterable {
        /// To the server.
        case upstream
        case downstream
    }

    /// Where the server listens.
    public enum Target: Hashable, Sendable {
        /// The path of a Unix socket.
        case unix(String)
        /// On 127.0.0.1.
        case port(Int)
    }

    /// What the proxy has seen and done.
    public struct Evidence: Hashable, Sendable {
        public var connections = 0
        /// Connections that were refused, or for which nobody listens at the target.
        public var refused = 0
        public var bytes: [Direction: Int] = [:]
        /// Connections that a limit, a lost answer or a trigger has ended.
        public var cuts = 0
        /// Connections that were ended by name.
        public var resets = 0
        /// How often each fault has touched something; what that is, ``ProxyFault`` says.
        public var bites: [ProxyFault: Int] = [:]

        public init() {}

        /// Zero for a fault that has touched nothing.
        public func bites(of fault: ProxyFault) -> Int { bites[fault] ?? 0 }
    }

    /// Faults, and which setting of them: setting the same again begins anew.
    struct Setting: Sendable {
        var faults = StreamFaults.none
        var number = 0
    }

    struct Control: Sendable {
        var target: Target
        var upstream = Setting()
        var downstream = Setting()
        var gate = ConnectionGate()
        var isFrozen = false
        var mustReset = false
        var isEnding = false
        var evidence = Evidence()
    }

    let control: Mutex<Control>
    private let listener: ListeningSocket
    private let bell: (read: Int32, write: Int32)
    private let ended = DispatchSemaphore(value: 0)

    /// On 127.0.0.1.
    public var port: Int { listener.port }
    public var evidence: Evidence { control.withLock(\.evidence) }

    private init(target: Target) throws {
        listener = try ListeningSocket()
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw NeverHappened(description: "no pipe: \(String(cString: strerror(errno)))") }
        bell = (ends[0], ends[1])
        for descriptor in [listener.descriptor, ends[0], ends[1]] { FaultLoop.makeNonBlocking(descriptor) }
        control = Mutex(Control(target: target))
    }

    /// Runs a proxy before the socket at `target`; none of its connections is left afterwards.
    public static func run<Result>(
        to target: String, seed: UInt64 = 1, _ body: (FaultProxy) async throws -> Result
    ) async throws -> Result {
        try await run(to: .unix(target), seed: seed, body)
    }

    /// Runs a proxy before the server at `target`; none of its connections is left afterwards.
    ///
    /// - Parameter seed: of all that is left to chance.
    /// - Throws: ``NeverHappened`` when there is no port or no pipe for it, and what `body` throws.
    public static func run<Result>(
        to target: Target, seed: UInt64 = 1, _ body: (FaultProxy) async throws -> Result
    ) async throws -> Result {
        let proxy = try FaultProxy(target: target)
        let thread = Thread {
            var loop = FaultLoop(proxy: proxy, listener: proxy.listener.descriptor, bell: proxy.bell.read, seed: seed)
            loop.run()
            proxy.ended.signal()
        }
        thread.name = "ald.proxy"
        thread.start()
        return try await withCleanup {
            try await body(proxy)
        } cleanup: {
            proxy.change { $0.isEnding = true }
            proxy.waitForEnd()
        }
    }

    private func waitForEnd() {
        ended.wait()
        for descriptor in [listener.descriptor, bell.read, bell.write] { close(descriptor) }
    }

    // MARK: Faults

    /// Sets a direction's faults, for the connections that are there and those to come.
    public func set(_ faults: StreamFaults, _ direction: Direction) {
        change { $0.set(faults, direction) }
    }

    /// No faults any more. What was cut stays cut.
    public func heal() {
        change { control in
            for direction in Direction.allCases { control.set(.none, direction) }
            control.gate.heal()
            control.isFrozen = false
        }
    }

    /// Every connection is reset, and so is every new one.
    public func down() {
        change { control in
            control.gate.isDown = true
            control.mustReset = true
        }
    }

    /// The next `count` connections are ended as soon as they are made; the others are not touched.
    public func refuse(first count: Int, _ ending: StreamFaults.Ending = .reset) {
        change { $0.gate.refuse(first: count, ending) }
    }

    /// Nothing moves, and nobody is told.
    public func freeze() { change { $0.isFrozen = true } }

    /// Every connection is reset now.
    public func reset() { change { $0.mustReset = true } }

    /// New connections go to this Unix socket.
    public func retarget(_ target: String) { retarget(.unix(target)) }

    /// New connections go there.
    public func retarget(_ target: Target) { change { $0.target = target } }

    private func change(_ body: (inout Control) -> Void) {
        control.withLock { body(&$0) }
        var byte: UInt8 = 1
        _ = write(bell.write, &byte, 1)
    }
}

extension FaultProxy.Control {
    subscript(direction: FaultProxy.Direction) -> FaultProxy.Setting {
        direction == .upstream ? upstream : downstream
    }

    mutating func set(_ faults: StreamFaults, _ direction: FaultProxy.Direction) {
        switch direction {
        case .upstream: upstream = FaultProxy.Setting(faults: faults, number: upstream.number + 1)
        case .downstream: downstream = FaultProxy.Setting(faults: faults, number: downstream.number + 1)
        }
    }
}
