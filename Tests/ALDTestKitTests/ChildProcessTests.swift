import ALDTestKit
import Foundation
import Testing

@Suite("Child processes") struct ChildProcessTests {
    @Test("output, errors and exit status are told apart")
    func streams() async throws {
        let result = try await ChildProcess.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 3"])
        #expect(result.output == ["out"] && result.errors == ["err"] && result.exitCode == 3 && result.signal == nil)
    }

    @Test("a signal that ended the process is reported as such")
    func signalled() async throws {
        let result = try await ChildProcess.run("/bin/sh", ["-c", "echo ready; exec sleep 60"]) { child in
            try await eventually("ready") { child.output == ["ready"] }
            child.send(SIGKILL)
        }
        #expect(result.signal == SIGKILL && result.exitCode == nil)
    }

    @Test("variables can be set and removed")
    func environment() async throws {
        let result = try await ChildProcess.run(
            "/bin/sh", ["-c", "echo ${HOME:-none} $ADDED"], environment: ["HOME": nil, "ADDED": "yes"])
        #expect(result.output == ["none yes"])
    }

    @Test("a process that does not end is killed, and the test is told")
    func overrun() async throws {
        var identifier: Int32 = 0
        await #expect(throws: NeverHappened.self) {
            _ = try await ChildProcess.run("/bin/sh", ["-c", "exec sleep 60"], endsWithin: .milliseconds(50)) {
                identifier = $0.processIdentifier
            }
        }
        #expect(ChildProcess.isFinished(identifier))
    }

    @Test("what never happens is an error that says what was waited for")
    func never() async {
        var hour = 1
        do {
            try await eventually("pigs fly at \(hour)", within: .milliseconds(20)) {
                hour = 2
                return false
            }
            Issue.record("it happened")
        } catch {
            #expect("\(error)".contains("pigs fly at 2"), "what there was in the end")
        }
    }
}
