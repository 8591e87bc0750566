import ALDCore
import Foundation
import Synchronization

/// A proxy on 127.0.0.1 before a Unix socket, whose connections a test delays, slices, cuts and freezes. What becomes of
/// the bytes is decided by ``FaultStream``; one thread of its own moves them.
public final class FaultProxy: Sendable {
    public enum Direction: Hashable, Sendable, CaseIterable {
        /// To the server.
        case upstream
        case downstream
    }

    /// What the proxy has seen and done.
    public struct Evidence: Hashable, Sendable {
        public var connections = 0
        public var refused = 0
        public var bytes: [Direction: Int] = [:]
        /// Connections that a limit has ended.
        public var cuts = 0
        /// Connections that were ended by name.
        public var resets = 0
    }

    struct Control: Sendable {
        var target: String
        var faults: [Direction: StreamFaults] = [:]
        /// Rises with every change.
        var generation = 0
        var isDown = false
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

    private init(target: String) throws {
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
    public func set(_ faults: StreamFaults, _ direction: Direction) { change { $0.faults[direction] = faults } }

    /// No faults any more. What was cut stays cut.
    public func heal() {
        change { control in
            control.faults = [:]
            (control.isDown, control.isFrozen) = (false, false)
        }
    }

    /// Every connection is reset, and so is every new one.
    public func down() {
        change { control in
            control.isDown = true
            control.mustReset = true
        }
    }

    /// Nothing moves, and nobody is told.
    public func freeze() { change { $0.isFrozen = true } }

    /// Every connection is reset now.
    public func reset() { change { $0.mustReset = true } }

    /// New connections go there.
    public func retarget(_ target: String) { change { $0.target = target } }

    private func change(_ body: (inout Control) -> Void) {
        control.withLock { control in
            body(&control)
            control.generation += 1
        }
        var byte: UInt8 = 1
        _ = write(bell.write, &byte, 1)
    }
}
