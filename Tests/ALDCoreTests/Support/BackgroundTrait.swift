import ALDTestKit
import Testing

/// For tests that only compute: see ``inBackground(_:)``.
struct BackgroundTrait: SuiteTrait, TestTrait, TestScoping {
    // The tests of a suite are child tasks, which stay where their parent is.
    let isRecursive = false

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await inBackground(function)
    }
}

extension Trait where Self == BackgroundTrait {
    static var background: Self { BackgroundTrait() }
}
