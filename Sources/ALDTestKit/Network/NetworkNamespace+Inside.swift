import Foundation
import Synchronization

extension NetworkNamespace {
    /// Runs `body` on a thread in the namespace: the sockets that it opens itself, or has awaited code open that has no
    /// thread of its own, belong there and stay there. A server that listens is one: what it accepts comes from within.
    ///
    /// - Throws: ``NeverHappened`` when the thread cannot enter, and what `body` throws.
    public func inside<Result>(_ body: () async throws -> Result) async throws -> Result {
        let executor = NamespaceExecutor()
        defer { executor.end() }
        if let problem = await executor.begin(in: "/run/netns/" + name) {
            throw NeverHappened(description: "namespace \(name): \(problem)")
        }
        return try await withTaskExecutorPreference(executor, operation: body)
    }
}

/// One thread that lives in a namespace.
private final class NamespaceExecutor: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isEnding = false
    }

    private let state = Mutex(State())
    private let isDue = DispatchSemaphore(value: 0)

    /// - Returns: what has kept the thread from entering.
    func begin(in path: String) async -> String? {
        await withCheckedContinuation { waiter in
            let thread = Thread {
                let problem = Self.enter(path)
                waiter.resume(returning: problem)
                if problem == nil { self.run() }
            }
            thread.name = "ald.namespace"
            thread.start()
        }
    }

    /// What still has to run does.
    func end() {
        state.withLock { $0.isEnding = true }
        isDue.signal()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
        isDue.signal()
    }

    private func run() {
        while true {
            isDue.wait()
            let (job, isOver) = state.withLock { state in
                state.jobs.isEmpty ? (nil, state.isEnding) : (state.jobs.removeFirst(), false)
            }
            job?.runSynchronously(on: asUnownedTaskExecutor())
            if isOver { return }
        }
    }

    private static func enter(_ path: String) -> String? {
        #if os(Linux)
            // By name, since no Swift module has this function.
            guard let symbol = dlsym(UnsafeMutableRawPointer(bitPattern: 0), "setns") else { return "no setns" }
            let setns = unsafeBitCast(symbol, to: (@convention(c) (Int32, Int32) -> Int32).self)
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { return "\(path): \(String(cString: strerror(errno)))" }
            defer { close(file) }
            let newNetwork: Int32 = 0x4000_0000  // CLONE_NEWNET
            return setns(file, newNetwork) == 0 ? nil : "setns: \(String(cString: strerror(errno)))"
        #else
            return "namespaces exist on Linux only"
        #endif
    }
}
