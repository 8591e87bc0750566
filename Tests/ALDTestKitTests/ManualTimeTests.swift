import ALDCore
import ALDTestKit
import Synchronization
import Testing

private final class Woken: Sendable {
    let seconds = Mutex([Int]())
}

@Suite("Manual time", .timeLimit(.minutes(2))) struct ManualTimeTests {
    @Test("sleepers wake when their time has come, earliest first, and not before")
    func order() async throws {
        let time = ManualTime()
        let woken = Woken()
        await withTaskGroup(of: Void.self) { group in
            for seconds in [3, 1, 2] {
                group.addTask {
                    do { try await time.sleep(for: .seconds(seconds)) } catch { Issue.record("cancelled") }
                    woken.seconds.withLock { $0.append(seconds) }
                }
            }
            await time.waitForSleepers(3)
            time.advance(by: .milliseconds(999))
            #expect(time.sleeperCount == 3)
            for second in 1...3 {
                time.advance(by: second == 1 ? .milliseconds(1) : .seconds(1))
                while woken.seconds.withLock({ $0.count }) < second { await Task.yield() }
            }
        }
        #expect(woken.seconds.withLock { $0 } == [1, 2, 3])
    }

    @Test("a cancelled sleeper is told so at once, also when it was cancelled before it lay down")
    func cancellation() async {
        let time = ManualTime()
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    try await time.sleep(for: .seconds(60))
                    return false
                } catch { return error is CancellationError }
            }
            group.cancelAll()
            #expect(await group.next() == true)
        }
        #expect(time.sleeperCount == 0)
    }

    @Test("civil time moves with the clock")
    func wallClock() {
        let time = ManualTime()
        let start = time.wallClock
        time.advance(by: .seconds(2))
        #expect(time.wallClock == start.advanced(by: .seconds(2)))
    }
}
