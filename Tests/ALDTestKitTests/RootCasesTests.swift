import Foundation
import Testing

@testable import ALDTestKit

@Suite("What only root may do") struct RootCasesTests {
    private static let forbidden = Unavailable(.privilege, "not in this container", remedy: "use another one")

    /// The gate of the whole run: everywhere else such a case is skipped, one by one.
    @Test(
        "is not skipped altogether in a run as root",
        .enabled(if: geteuid() == 0 && Gate.mayUseRoot, "needs root, and ALD_ROOT must not be 0"))
    func here() async throws {
        let cases = try await RootCases.tried()
        #expect(cases.problem == nil)
    }

    @Test("is missed when all of it is skipped, with every reason and the way out")
    func all() async throws {
        let cases = try await RootCases.tried { kind in
            throw Unavailable(.privilege, "no \(kind.rawValue) in this container", remedy: "use another one")
        }
        let problem = try #require(cases.problem)
        #expect(problem.contains("ALD_ROOT=0"))
        for kind in RootCases.Kind.allCases {
            #expect(problem.contains("no \(kind.rawValue) in this container; use another one"))
        }
    }

    @Test("is skipped in part where a machine allows the rest", arguments: RootCases.Kind.allCases)
    func part(allowed: RootCases.Kind) async throws {
        let cases = try await RootCases.tried { if $0 != allowed { throw Self.forbidden } }
        #expect(cases.problem == nil && cases.lacks[allowed] == nil)
        #expect(cases.lacks.count == RootCases.Kind.allCases.count - 1)
    }

    @Test("is missed for want of a program as well: then nothing is shown, either")
    func programs() async throws {
        let cases = try await RootCases.tried { kind in
            throw kind == .network ? Unavailable(.program, "no ip", remedy: "install it") : Self.forbidden
        }
        #expect(cases.problem?.contains("no ip; install it") == true)
    }

    @Test("is missed nowhere where not even root has it")
    func otherSystems() async throws {
        let cases = try await RootCases.tried { _ in throw Unavailable(.system, "Linux only", remedy: "run there") }
        #expect(cases.problem == nil && cases.lacks.count == RootCases.Kind.allCases.count)
    }

    @Test("a failure that excuses nobody is none of the reasons")
    func failure() async throws {
        await #expect(throws: NeverHappened.self) {
            _ = try await RootCases.tried { _ in throw NeverHappened(description: "broken") }
        }
    }
}
