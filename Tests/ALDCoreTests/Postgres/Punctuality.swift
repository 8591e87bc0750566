import Foundation

@testable import ALDCore

/// How late somebody came back who had a deadline, beside somebody who only waited for the same instant.
///
/// On a busy machine everybody is late. What excuses the one who is judged is how late the other one was, and for how
/// long threads of this process were ready to run afterwards and had no processor (the kernel counts that). What
/// remains is the code's own doing, so it can be asked of everybody and not only of the luckiest.
struct Punctuality: Sendable, CustomStringConvertible {
    static let bound: Duration = .milliseconds(10)

    let late: Duration
    let control: Duration
    /// The time without a processor, of all threads together, between the control's end and ours.
    let starved: Duration

    var isKept: Bool { late <= max(control, .zero) + starved + Self.bound }

    var description: String { "\(late) late, control \(control), without a processor \(starved)" }

    /// - Parameter deadline: of `body`, as an instant of the system clock.
    static func measured<R>(
        _ deadline: MonotonicInstant, _ body: () async throws -> R
    ) async throws -> (R, Punctuality) {
        let clock = SystemTime()
        // As in a pool somebody is woken by the clock who wakes whoever waits: each of the two has to get a thread.
        async let waiting: (Duration, Duration) = {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await Wakeup().wait(until: deadline, time: clock) }
            }
            return (clock.now - deadline, Self.starvation())
        }()
        let result = try await body()
        let late = clock.now - deadline
        let now = late > bound ? starvation() : .zero
        let (control, before) = await waiting
        return (result, Punctuality(late: late, control: control, starved: max(.zero, now - before)))
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
