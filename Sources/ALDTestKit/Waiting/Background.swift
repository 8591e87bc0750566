import Dispatch

/// Runs a long computation of a test beside the tests that wait for sockets and processes.
///
/// The tasks of a process share as many threads as there are processors. Computations that take all of them for
/// seconds let every deadline pass that another test relies on. Here they have threads of their own, and the operating
/// system gives each its share.
public func inBackground<Result>(_ body: () async throws -> Result) async rethrows -> Result {
    try await withTaskExecutorPreference(BackgroundExecutor.shared, operation: body)
}

private final class BackgroundExecutor: TaskExecutor {
    static let shared = BackgroundExecutor()

    private let queue = DispatchQueue(label: "long computations", attributes: .concurrent)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
