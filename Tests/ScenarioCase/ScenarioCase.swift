import ALDTestKit
import Dispatch
public import XCTest

/// A test class whose methods run scenarios of the catalogue on one server, which is gone after the last of them.
open class ScenarioCase: XCTestCase {
    private static let host = ScenarioHost()

    /// Runs the scenario with this number; the test fails unless it passed.
    public static func verify(_ id: String) async throws {
        let result = try await ScenarioRunner(host: host).verify(id)
        print(result.line)
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
