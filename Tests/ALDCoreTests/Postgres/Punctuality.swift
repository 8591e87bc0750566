import Foundation
import Synchronization

@testable import ALDCore

/// How late somebody came back who had a deadline, beside somebody who only waited for the same instant.
///
/// On a busy machine everybody is late. What excuses the one who is judged is how late the other one was, and beside that
/// either for how long threads of this process were ready to run and had no processor (the kernel counts that), or how
/// long a task that was ready had to wait for its turn behind those of other tests, as often as it had to. What remains
/// is the code's own doing, so it can be asked of everybody and not only of the luckiest; unless the code itself keeps
/// the threads that all tasks share from their work, which other tests look for.
struct Punctuality: Sendable, CustomStringConvertible {
    static let bound: Duration = .milliseconds(10)

    let late: Duration
    let control: Duration
    /// The time without a processor, of all threads together, from shortly before the deadline on.
    let starved: Duration
    /// The longest that a task was ready in this time and did not have its turn.
    let turn: Duration
    /// One task wakes the next: that of the clock, that of the pool, that of its connection, and whoever waits.
    private static let turns = 3

    var isKept: Bool { late <= max(control, .zero) + max(starved, turn * Self.turns) + Self.bound }

    var description: String {
        "\(late) late, control \(control), without a processor \(starved), turns of up to \(turn)"
    }

    /// - Parameter deadline: of `body`, as an instant of the system clock.
    static func measured<R>(
        _ deadline: MonotonicInstant, _ body: () async throws -> R
    ) async throws -> (R, Punctuality) {
        let clock = SystemTime()
        let isBack = Mutex(false)
        // As in a pool somebody is woken by the clock who wakes whoever waits: each of the two has to get a thread.
        async let waiting: (Duration, Duration, Duration) = {
            // Asked a little before: the question takes a while itself, on a busy machine longer than everything else.
            await Wakeup().wait(until: deadline - .milliseconds(20), time: clock)
            let before = Self.starvation()
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await Wakeup().wait(until: deadline, time: clock) }
            }
            let control = clock.now - deadline
            var longest = Duration.zero
            // At an easy pace: whoever asks without a pause takes the turns of those that he asks about.
            while !isBack.withLock(\.self), !Task.isCancelled {
                let due = clock.now + .milliseconds(1)
                await Wakeup().wait(until: due, time: clock)
                longest = max(longest, clock.now - due)
            }
            return (control, before, longest)
        }()
        let result: R
        do {
            result = try await body()
        } catch {
            isBack.withLock { $0 = true }
            throw error
        }
        let late = clock.now - deadline
        let now = late > bound ? starvation() : .zero
        isBack.withLock { $0 = true }
        let (control, before, turn) = await waiting
        return (result, Punctuality(late: late, control: control, starved: max(.zero, now - before), turn: turn))
    }

    /// How long the threads of this process have waited for a processor since they began. Zero where the kernel does not
    /// say, which excuses nobody.
    private static func starvation() -> Duration {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        let nanoseconds = threads.compactMap { thread -> Int64? in
            let text = try? String(contentsOfFile: "/proc/self/task/\(thread)/schedstat", encoding: .utf8)
            let fields = text?.split(separator: " ") ?? []
            return fields.count > 1 ? Int64(fields[1]) : nil
        }
        return .nanoseconds(nanoseconds.reduce(0, +))
    }
}
