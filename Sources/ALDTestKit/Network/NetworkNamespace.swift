import ALDCore
import Foundation

/// A network of its own for one test: a loopback interface, ports and a packet filter that nothing outside of it sees.
/// Linux, root.
///
/// What runs in it is started with ``prefix`` before its command, or opens its sockets within ``inside(_:)``. Its Unix
/// sockets are those of the whole machine: a test looks at a server in there through one, past every fault.
public struct NetworkNamespace: Sendable {
    /// As `ip netns` knows it.
    public let name: String

    /// In front of a command that is to run there. The process is the command's own, so it can be signalled.
    public var prefix: [String] { ["ip", "netns", "exec", name] }

    /// The address of its loopback interface.
    public static let address = "127.0.0.1"

    /// Runs `body` with a new namespace. Afterwards it is gone, whatever happened, and so is every process in it.
    ///
    /// - Throws: ``Unavailable`` where this process cannot make one, and what `body` throws.
    public static func run<Result>(_ body: (NetworkNamespace) async throws -> Result) async throws -> Result {
        try Unavailable.requireRoot("a network namespace")
        try await sweep()
        let namespace = NetworkNamespace(
            name: "ald-\(ProcessInfo.processInfo.processIdentifier)-"
                + String(UInt32.random(in: 0...UInt32.max), radix: 36))
        try await namespace.create()
        return try await withCleanup {
            try await namespace.raiseLoopback()
            return try await body(namespace)
        } cleanup: {
            try await namespace.remove()
        }
    }

    /// Whether this process can make one. In the gate a missing program counts as there, so that its want is noticed.
    public static func isAvailable() async -> Bool {
        do {
            try await run { _ in }
            return true
        } catch let lacking as Unavailable {
            return !lacking.excusesTests
        } catch {
            return false
        }
    }

    private func create() async throws {
        let added = try await Self.program(["ip", "netns", "add", name])
        guard added.exitCode == 0 else {
            throw Unavailable(
                .privilege, "`ip netns add`: \(added.transcript)",
                remedy: "use a system that lets root do it; a container needs the right to (CAP_SYS_ADMIN)")
        }
    }

    private func raiseLoopback() async throws {
        let raised = try await Self.program(prefix + ["ip", "link", "set", "lo", "up"])
        guard raised.exitCode == 0 else {
            throw Unavailable(
                .privilege, "`ip link set lo up` in a namespace: \(raised.transcript)",
                remedy: "use a system that lets root do it; a container needs the right to (CAP_NET_ADMIN)")
        }
    }

    private func remove() async throws {
        let left = try await Self.program(["ip", "netns", "pids", name])
        for process in left.output.compactMap({ Int32($0) }) { kill(process, SIGKILL) }
        let removed = try await Self.program(["ip", "netns", "delete", name])
        guard removed.exitCode == 0 else {
            throw NeverHappened(description: "namespace \(name) is still there: \(removed.transcript)")
        }
    }

    /// Removes what test runs have left that were killed themselves: the name says whose each is.
    private static func sweep() async throws {
        let folder = "/run/netns"
        // It is made with the first namespace.
        guard FileManager.default.fileExists(atPath: folder) else { return }
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            let parts = name.split(separator: "-")
            guard parts.count == 3, parts[0] == "ald", let owner = Int32(parts[1]), kill(owner, 0) != 0, errno == ESRCH
            else { continue }
            // Somebody else may sweep at the same moment: then there is nothing to do any more.
            _ = try await program(["ip", "netns", "delete", name])
        }
    }

    /// Runs a command there to its end.
    ///
    /// - Returns: what it has written.
    /// - Throws: ``NeverHappened`` with everything it has written when it fails, ``Unavailable`` when it is not
    ///   installed.
    @discardableResult public func execute(_ command: [String]) async throws -> ChildResult {
        let result = try await Self.program(prefix + command)
        guard result.exitCode == 0 else {
            throw NeverHappened(description: "\(command.joined(separator: " ")): \(result.transcript)")
        }
        return result
    }

    /// Runs a program to its end, however it ends.
    ///
    /// - Throws: ``Unavailable`` when it is not installed.
    static func program(_ command: [String]) async throws -> ChildResult {
        let result = try await ChildProcess.run("/usr/bin/env", command)
        // What `env` ends with when it finds no such program, and what `ip netns exec` says then.
        let isMissing = result.exitCode == 127 || result.errors.contains { $0.contains("failed: No such file") }
        guard !isMissing else {
            let name = command.starts(with: ["ip", "netns", "exec"]) ? command.dropFirst(4).first : command.first
            throw Unavailable(
                .program, "`\(name ?? "")` is not installed", remedy: "`.ci/setup --tests` installs it")
        }
        return result
    }
}
