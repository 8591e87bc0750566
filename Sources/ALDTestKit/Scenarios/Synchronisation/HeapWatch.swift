import ALDCore
import Synchronization

/// The most that this process has allocated while something went on, beyond what it had when that began: what is there
/// all the time says nothing of it.
final class HeapWatch: Sendable {
    private static let pause = Duration.milliseconds(5)

    private let before: Int
    private let most: Mutex<Int>

    /// Begins now; `nil` where the C library does not tell what is allocated.
    init?() {
        guard let bytes = ProcessProbe.heapBytes else { return nil }
        before = bytes
        most = Mutex(bytes)
    }

    /// At most at any look, bytes.
    var added: Int { most.withLock(\.self) - before }

    func look() {
        guard let bytes = ProcessProbe.heapBytes else { return }
        most.withLock { $0 = max($0, bytes) }
    }

    /// Looks again and again while `body` runs, and once more at its end.
    func looking<Result: Sendable>(_ time: SystemTime, while body: () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    self.look()
                    try await time.sleep(for: Self.pause)
                }
            }
            let result = try await body()
            group.cancelAll()
            look()
            return result
        }
    }
}
