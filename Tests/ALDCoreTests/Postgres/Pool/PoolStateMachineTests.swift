import Testing

@testable import ALDCore

/// Failure stories of the pool, one decision at a time.
@Suite(.background) struct PoolStateMachineTests {
    typealias Machine = PoolStateMachine

    private func at(_ milliseconds: Int64) -> MonotonicInstant { PoolStories.at(milliseconds) }

    private func machine(_ change: (inout PoolConfiguration) -> Void = { _ in }) -> Machine {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 2
        change(&configuration)
        return Machine(configuration: configuration)
    }

    private func request(_ number: Int, deadline: Int64 = 1000, since: Int64 = 0) -> Machine.Request {
        PoolStories.request(number, deadline: deadline, since: since)
    }

    private let one = Machine.ConnectionID(number: 1)
    private let refused = PostgresError(.connectionFailed, "refused")

    @Test func aCallerGetsANewConnectionAndThenItsSuccessorGetsTheSame() {
        var pool = machine()
        #expect(text(pool.acquire(request(1), now: at(0))) == "connect 1, wake 1000")
        #expect(text(pool.connected(one, chance: 0, now: at(5))) == "lease 1 to 1")
        let released = pool.release(one, by: .init(number: 1), isClean: true, now: at(10))
        #expect(text(released) == "", "the wake-up at 1000 is due first")
        #expect(text(pool.acquire(request(2), now: at(20))) == "lease 1 to 2")
        #expect(pool.statistics.leases == 2)
    }

    @Test func aFullPoolFailsTheCallerAtItsDeadlineAndNamesTheHolder() {
        var pool = machine { $0.maximumConnections = 1 }
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.connected(one, chance: 0, now: at(0))
        _ = pool.acquire(request(2, deadline: 50), now: at(10))
        #expect(pool.advance(now: at(49)).isEmpty)
        let actions = pool.advance(now: at(50))
        guard case .fail(_, let error)? = actions.first else {
            Issue.record("expected a failure, got \(text(actions))")
            return
        }
        #expect(error.code == .poolExhausted)
        #expect(error.message.contains("1 of 1 are leased"))
        #expect(error.message.contains("\"holder 1\" (Module/File.swift:1)"))
        #expect(error.pool?.reason == .exhausted)
        #expect(error.pool?.statistics.leased == 1)
        #expect(error.pool?.oldestLease?.holder.name == "holder 1")
        #expect(error.pool?.oldestLease?.age == .milliseconds(50))
        #expect(pool.statistics.timeouts == 1)
    }

    @Test func aRefusedConnectIsTheCauseOfTheTimeout() {
        var pool = machine()
        _ = pool.acquire(request(1, deadline: 150), now: at(0))
        #expect(text(pool.connectFailed(one, refused, chance: 0, now: at(10))) == "wake 110")
        #expect(text(pool.advance(now: at(110))) == "connect 2, wake 150")
        let actions = pool.advance(now: at(150))
        guard case .fail(_, let error)? = actions.first else {
            Issue.record("expected a failure, got \(text(actions))")
            return
        }
        #expect(error.code == .connectionFailed)
        #expect(error.cause?.message == "refused")
    }

    @Test func aWrongPasswordFailsEverybodyAtOnceAndIsNotHammered() {
        var pool = machine()
        let denied = PostgresError(.authenticationFailed, "denied")
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.acquire(request(2), now: at(0))
        #expect(text(pool.connectFailed(one, denied, chance: 0, now: at(10))).hasPrefix("fail 1, fail 2"))
        #expect(text(pool.acquire(request(3, deadline: 5000), now: at(20))) == "fail 3")
        _ = pool.connectFailed(.init(number: 2), denied, chance: 0, now: at(30))
        #expect(text(pool.acquire(request(4, deadline: 5000), now: at(500))).hasPrefix("connect 3"))
    }

    @Test func theBackoffGrowsToItsMaximumAndASuccessEndsIt() {
        var configuration = PoolConfiguration()
        configuration.maximumBackoff = .seconds(1)
        var gate = ConnectGate(configuration)
        var now = at(0)
        func fail() -> Int64 {
            let isAdmitted = gate.begin(one, now: now)
            #expect(isAdmitted)
            gate.failed(one, refused, chance: 0.999_999_999, now: now)
            let until = gate.retryAt(now: now) ?? now
            defer { now = until }
            return (until - now).wholeNanoseconds / 1_000_000
        }
        let pauses = (0..<5).map { _ in fail() }
        #expect(pauses.prefix(2) == [299, 899] && pauses.suffix(3) == [1000, 1000, 1000])
        let verdicts = [gate.begin(one, now: now - .nanoseconds(1)), gate.begin(one, now: now)]
        #expect(verdicts == [false, true])
        gate.succeeded(one, chance: 0, now: now)
        #expect(gate.retryAt(now: now) == nil && gate.state == .closed)
        now = now + ConnectGate.sustainedHealth
        let pause = fail()
        #expect(pause == 299, "the next outage begins with a short pause")
    }

    @Test func aDeadConnectionSendsItsCallerBackToItsPlace() {
        var pool = machine { $0.maximumConnections = 1 }
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.connected(one, chance: 0, now: at(0))
        _ = pool.acquire(request(2), now: at(1))
        #expect(text(pool.foundDead(one, for: request(1), now: at(2))) == "close 1")
        #expect(text(pool.closed(one, now: at(3))) == "connect 2")
        #expect(text(pool.connected(.init(number: 2), chance: 0, now: at(4))) == "lease 2 to 1")
    }

    @Test func idleConnectionsAboveTheMinimumAgeAndOldOnesAreReplaced() {
        var pool = machine {
            $0.minimumConnections = 1
            $0.idleTimeout = .seconds(10)
            $0.keepAlive = .seconds(1000)
            $0.maximumLifetime = .seconds(60)
        }
        #expect(text(pool.start(now: at(0))) == "connect 1")
        _ = pool.connected(one, chance: 0, now: at(0))
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.acquire(request(2), now: at(0))
        _ = pool.connected(.init(number: 2), chance: 1, now: at(0))
        _ = pool.release(one, by: .init(number: 1), isClean: true, now: at(10))
        _ = pool.release(.init(number: 2), by: .init(number: 2), isClean: true, now: at(20))
        #expect(text(pool.advance(now: at(10_010))).hasPrefix("close 1"))
        _ = pool.closed(one, now: at(10_011))
        #expect(!text(pool.advance(now: at(53_999))).contains("close"))
        #expect(text(pool.advance(now: at(54_000))).hasPrefix("close 2, connect 3"), "10 % less by chance")
    }

    @Test func shutdownFailsWaitersClosesIdleAndWaitsForLeases() {
        var pool = machine()
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.connected(one, chance: 0, now: at(0))
        _ = pool.acquire(request(2), now: at(0))
        #expect(text(pool.shutDown(reclaimsLeased: false, now: at(1))) == "fail 2")
        #expect(text(pool.acquire(request(3), now: at(2))) == "fail 3")
        #expect(text(pool.connectFailed(.init(number: 2), refused, chance: 0, now: at(3))) == "")
        #expect(text(pool.release(one, by: .init(number: 1), isClean: true, now: at(4))) == "close 1")
        #expect(text(pool.closed(one, now: at(5))) == "finish")
    }

    @Test func aConnectionThatOutlivedItsLifeIsClosedAtItsReturnAndNotLentAgain() {
        var pool = machine {
            $0.maximumConnections = 1
            $0.maximumLifetime = .seconds(60)
        }
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.connected(one, chance: 0, now: at(0))
        _ = pool.acquire(request(2, deadline: 100_000), now: at(59_000))
        #expect(text(pool.release(one, by: .init(number: 1), isClean: true, now: at(60_000))) == "close 1")
        #expect(text(pool.closed(one, now: at(60_001))).hasPrefix("connect 2"))
    }

    @Test func afterAFailureThereIsOneConnectAtATimeUntilOneSucceeds() {
        var pool = machine {
            $0.maximumConnections = 5
            $0.maximumConcurrentConnects = 3
        }
        for number in 1...5 { _ = pool.acquire(request(number), now: at(0)) }
        #expect(pool.statistics.connecting == 3)
        for number in 1...3 {
            _ = pool.connectFailed(.init(number: number), refused, chance: 0, now: at(10))
        }
        #expect(pool.statistics.connecting == 0)
        #expect(text(pool.advance(now: at(500))).hasPrefix("connect 4, wake"))
        #expect(pool.statistics.connecting == 1)
        #expect(
            text(pool.connected(.init(number: 4), chance: 0, now: at(501)))
                == "lease 4 to 1, connect 5, connect 6", "twice as many as before")
        #expect(text(pool.connected(.init(number: 5), chance: 0, now: at(502))) == "lease 5 to 2, connect 7, connect 8")
    }

    @Test func everyProblemOfAConfigurationIsReported() {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 0
        configuration.lifetimeJitter = 2
        configuration.maximumBackoff = .zero
        let error = #expect(throws: PostgresError.self) { try configuration.validate() }
        #expect(error?.code == .configurationInvalid)
        for name in ["maximumConnections", "lifetimeJitter", "maximumBackoff"] {
            #expect(error?.message.contains(name) == true)
        }
    }

    private func text(_ actions: [Machine.Action]) -> String { PoolStories.text(actions) }
}
