import Testing

@testable import ALDCore

@Suite("How long a controller is waited for") struct ReadPatienceTests {
    private func patience(_ change: (inout DataCollectionService.Configuration) -> Void = { _ in }) -> ReadPatience {
        var configuration = DataCollectionService.Configuration()
        change(&configuration)
        return ReadPatience(configuration)
    }

    @Test("less than a period while it is quick")
    func quick() {
        var patience = patience()
        #expect(patience.timeout == .milliseconds(800))
        for took in [5, 100, 400] {
            patience.answered(after: .milliseconds(took))
            #expect(patience.timeout == .milliseconds(800))
        }
    }

    @Test("twice what was not enough, up to ten seconds")
    func silent() {
        var patience = patience()
        let timeouts = (0..<6).map { _ in
            patience.failed(.unanswered(""))
            return patience.timeout
        }
        #expect(timeouts == [1600, 3200, 6400, 10_000, 10_000, 10_000].map { .milliseconds($0) })
    }

    @Test("twice what it took, and less again step by step")
    func slow() {
        var patience = patience()
        patience.answered(after: .seconds(3))
        #expect(patience.timeout == .seconds(6))
        let timeouts = (0..<4).map { _ in
            patience.answered(after: .milliseconds(10))
            return patience.timeout
        }
        #expect(timeouts == [3000, 1500, 800, 800].map { .milliseconds($0) })
    }

    @Test("one that is away, or says no, is waited for no longer than a quick one")
    func away() {
        for failure in [PLCError.unreachable(""), .refused("")] {
            var patience = patience()
            patience.answered(after: .seconds(4))
            patience.failed(failure)
            #expect(patience.timeout == .milliseconds(800))
        }
    }

    @Test("a bound below the read timeout means that nobody is waited for longer")
    func impatient() {
        var patience = patience { ($0.readTimeout, $0.slowReadTimeout) = (.milliseconds(500), .milliseconds(1)) }
        patience.failed(.unanswered(""))
        #expect(patience.timeout == .milliseconds(500))
    }
}
