import ALDCore
import Synchronization

/// What rings when somebody inserts a command: the bell of the terminal that lives now.
final class WorldBells: Sendable {
    private let server: WorldServer
    private let isLostForEver: Bool
    private let bell = Mutex<WorldBell?>(nil)
    private let count = Mutex(0)

    /// - Parameter isLostForEver: with true a bug: who has lost the bell never gets another one.
    init(_ server: WorldServer, isLostForEver: Bool = false) {
        (self.server, self.isLostForEver) = (server, isLostForEver)
    }

    /// How often a terminal was told to look.
    var heard: Int { count.withLock(\.self) }

    /// For the terminal of this life; the bell of the one before is taken down.
    func hang(on node: WorldNode, onRing: @escaping @Sendable () -> Void) -> WorldBell {
        let made = WorldBell(server, node: node, isLostForEver: isLostForEver) { [weak self] in
            self?.count.withLock { $0 += 1 }
            onRing()
        }
        bell.withLock { $0 = made }
        return made
    }

    func ring() { bell.withLock(\.self)?.ring() }
}

/// The doorbell of a terminal in a ``World``. It needs a session at the server, is deaf from the end of that session
/// until it notices, and any ring may be lost.
final class WorldBell: Doorbell {
    private struct State {
        var isWorking = false
        /// The session in which it listens.
        var session: Int?
        var random: SeededGenerator
    }

    private let server: WorldServer
    private let node: WorldNode
    private let time: any TimeSource
    private let state: Mutex<State>
    private let lost = Wakeup()
    private let isLostForEver: Bool
    private let onRing: @Sendable () -> Void
    /// How long it takes at the most until silence is noticed: an echo every 10 s has 2 s.
    private static let deafness = 12_000

    init(_ server: WorldServer, node: WorldNode, isLostForEver: Bool, onRing: @escaping @Sendable () -> Void) {
        (self.server, self.isLostForEver) = (server, isLostForEver)
        self.node = node
        time = node.time
        self.onRing = onRing
        state = Mutex(State(random: server.world.stream("bell of \(node.name)")))
    }

    var isWorking: Bool { state.withLock(\.isWorking) }

    /// Somebody has inserted a command.
    func ring() {
        guard state.withLock(\.session) == server.session, !server.losesWord() else { return }
        node.schedule(after: .milliseconds(1), onRing)
    }

    func run() async {
        while !Task.isCancelled {
            do throws(WorldServer.Failure) {
                let session = try await server.call(deadline: time.now + .seconds(5)) { self.server.session }
                listen(in: session)
                // What was inserted while nobody listened has not rung.
                onRing()
                await lost.wait()
            } catch {}
            let pause = state.withLock { state in
                (state.isWorking, state.session) = (false, nil)
                return Duration.milliseconds(Int.random(in: 100...5000, using: &state.random))
            }
            // Cancelled: the loop ends.
            do { try await time.sleep(for: isLostForEver ? .seconds(86_400 * 366) : pause) } catch {}
        }
    }

    private func listen(in session: Int) {
        let deaf = state.withLock { state in
            (state.isWorking, state.session) = (true, session)
            return Duration.milliseconds(Int.random(in: 0...Self.deafness, using: &state.random))
        }
        let lost = lost
        server.onRestart { [node] in node.schedule(after: deaf) { lost.signal() } }
    }
}
