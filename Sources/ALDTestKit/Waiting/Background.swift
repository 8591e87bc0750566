import Foundation
import Synchronization

/// Runs a long computation of a test beside the tests that wait for sockets and processes.
///
/// The tasks of a process share as many threads as there are processors. Computations that take all of them for
/// seconds let every deadline pass that another test relies on. Here they have threads of their own, which yield to
/// the others.
public func inBackground<Result>(_ body: () async throws -> Result) async rethrows -> Result {
    try await withTaskExecutorPreference(BackgroundExecutor.shared, operation: body)
}

private final class BackgroundExecutor: TaskExecutor {
    static let shared = BackgroundExecutor(threads: ProcessInfo.processInfo.activeProcessorCount)

    private let jobs = Mutex<[UnownedJob]>([])
    private let isDue = DispatchSemaphore(value: 0)

    init(threads: Int) {
        for _ in 0..<threads { Thread.detachNewThread { self.run() } }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        isDue.signal()
    }

    private func run() {
        Thread.current.name = "ald.background"
        #if os(Linux)
            // There, zero means this thread alone.
            _ = setpriority(__priority_which_t(UInt32(PRIO_PROCESS.rawValue)), 0, 10)
        #endif
        while true {
            isDue.wait()
            let job = jobs.withLock { $0.removeFirst() }
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
