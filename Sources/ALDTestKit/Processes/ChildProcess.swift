import Foundation
import Subprocess
import Synchronization
import SystemPackage

/// What became of a child process.
public struct ChildResult: Sendable {
    /// The exit status; `nil` when a signal ended it.
    public var exitCode: Int32?
    /// The signal that ended it; `nil` when it exited.
    public var signal: Int32?
    public var output: [String]
    public var errors: [String]

    /// Everything the child wrote, for messages and for searching.
    public var transcript: String { (output + errors).joined(separator: "\n") }
}

/// A child process while it runs.
public final class RunningChild: Sendable {
    public let processIdentifier: Int32
    private let written = Mutex((output: [String](), errors: [String]()))

    init(processIdentifier: Int32) {
        self.processIdentifier = processIdentifier
    }

    /// Complete lines it has written to standard output so far.
    public var output: [String] { written.withLock(\.output) }
    /// Complete lines it has written to standard error so far.
    public var errors: [String] { written.withLock(\.errors) }

    public func send(_ signal: Int32) {
        kill(processIdentifier, signal)
    }

    func note(output line: String) { written.withLock { $0.output.append(line) } }
    func note(error line: String) { written.withLock { $0.errors.append(line) } }
}

/// Starts programs and makes sure that none outlives the test.
public enum ChildProcess {
    /// Starts `executable`, lets `body` watch and disturb it, and waits for its end.
    ///
    /// - Parameter limit: how long it may go on after `body` has returned.
    /// - Throws: what `body` threw, or ``NeverHappened`` when the process had to be killed at the end.
    public static func run(
        _ executable: String, _ arguments: [String] = [], environment: [String: String?] = [:],
        endsWithin limit: Duration = .seconds(30), _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws -> ChildResult {
        let changes = Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0), $1) })
        let outcome = try await Subprocess.run(
            .path(FilePath(executable)), arguments: Arguments(arguments), environment: .inherit.updating(changes),
            input: .inputWriter, output: .sequence, error: .sequence
        ) { execution in
            let child = RunningChild(processIdentifier: execution.processIdentifier.value)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await line in execution.standardOutput.strings() { child.note(output: Self.trimmed(line)) }
                }
                group.addTask {
                    for try await line in execution.standardError.strings() { child.note(error: Self.trimmed(line)) }
                }
                let result: Result<Void, any Error>
                do {
                    try await body(child)
                    try await Self.waitForEnd(of: child, within: limit)
                    result = .success(())
                } catch {
                    result = .failure(error)
                    child.send(SIGKILL)
                }
                try await group.waitForAll()
                try await execution.standardInputWriter.finish()
                try result.get()
                return child
            }
        }
        var result = ChildResult(output: outcome.closureResult.output, errors: outcome.closureResult.errors)
        switch outcome.terminationStatus {
        case .exited(let code): result.exitCode = code
        case .signaled(let signal): result.signal = signal
        }
        return result
    }

    private static func waitForEnd(of child: RunningChild, within limit: Duration) async throws {
        try await eventually("process \(child.processIdentifier) ends", within: limit) {
            isFinished(child.processIdentifier)
        }
    }

    /// Whether a process is gone or a zombie that only waits to be reaped.
    public static func isFinished(_ processIdentifier: Int32) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(processIdentifier)/stat", encoding: .utf8) else {
            return kill(processIdentifier, 0) != 0
        }
        // The name in parentheses may contain anything; the state is the first field after the last one.
        return stat.split(separator: ")").last?.trimmingPrefix(while: \.isWhitespace).first == "Z"
    }

    private static func trimmed(_ line: String) -> String {
        line.last?.isNewline == true ? String(line.dropLast()) : line
    }
}
