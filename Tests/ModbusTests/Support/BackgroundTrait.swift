import ALDTestKit
import Testing

/// For a test that computes for long: see ``inBackground(_:)``.
struct BackgroundTrait: TestTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await inBackground(function)
    }
}

extension Trait where Self == BackgroundTrait {
    static var background: Self { BackgroundTrait() }
}
