import ALDTestKit
import Dispatch
public import XCTest

/// A test class whose methods run scenarios of the catalogue on one server, which is gone after the last of them.
open class ScenarioCase: XCTestCase {
    private static let host = ScenarioHost()

    /// Runs the scenario with this number; the test fails unless it passed. Where this machine cannot do what the
    /// scenario needs, it is unknown, and the test is skipped with the reason.
    public static func verify(_ id: String) async throws {
        do {
            let result = try await ScenarioRunner(host: host).verify(id)
            print(result.line)
        } catch let missed as ScenarioNotPassed {
            guard let lacking = missed.result.unavailable, lacking.excusesTests else { throw missed }
            throw XCTSkip("\(id) is unknown: \(lacking)")
        }
    }

    override open class func tearDown() {
        let done = DispatchSemaphore(value: 0)
        let stopping = Task {
            defer { done.signal() }
            try await host.stop()
        }
        done.wait()
        withExtendedLifetime(stopping) { super.tearDown() }
    }
}

extension XCTestCase {
    /// Has `body` run, and skips the test with the reason where this machine cannot do what it needs.
    public static func skippingUnavailable(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let lacking as Unavailable where lacking.excusesTests {
            throw XCTSkip("\(lacking)")
        }
    }
}
