import Testing

@testable import ALDCore

/// Stories of lanes, leaks, keep-alives, storms and what an operator does.
@Suite(.background) struct PoolUpkeepTests {
    typealias Machine = PoolStateMachine

    private func at(_ milliseconds: Int64) -> MonotonicInstant { PoolStories.at(milliseconds) }
    private func text(_ actions: [Machine.Action]) -> String { PoolStories.text(actions) }
    private func connection(_ number: Int) -> Machine.ConnectionID { PoolStories.connection(number) }
    private func request(
        _ number: Int, _ lane: PoolLane = .reader, deadline: Int64 = 100_000, since: Int64 = 0,
        limits: LeaseLimits = .none
    ) -> Machine.Request {
        PoolStories.request(number, lane, deadline: deadline, since: since, limits: limits)
    }

    /// A pool with `open` idle connections at 0 ms.
    private func machine(open: Int, _ change: (inout PoolConfiguration) -> Void = { _ in }) -> Machine {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 3
        configuration.minimumConnections = open
        configuration.maximumConcurrentConnects = 3
        configuration.keepAlive = .seconds(1000)
        configuration.pingAfter = .seconds(1000)
        change(&configuration)
        var machine = Machine(configuration: configuration)
        _ = machine.start(now: at(0))
        for number in 1..<(open + 1) { _ = machine.connected(connection(number), chance: 0, now: at(0)) }
        return machine
    }

    // MARK: Lanes

    @Test func whatIsReservedForTheWriterNoReaderGets() {
        var pool = machine(open: 3) { $0.reservedConnections = [.writer: 1] }
        for number in 1...2 {
            #expect(text(pool.acquire(request(number), now: at(1))).hasPrefix("lease \(4 - number) to \(number)"))
        }
        #expect(text(pool.acquire(request(3), now: at(2))).contains("lease") == false)
        #expect(text(pool.acquire(request(4, .writer, since: 3), now: at(3))) == "lease 1 to 4")
        #expect(text(pool.release(connection(1), by: .init(number: 4), isClean: true, now: at(4))) == "")
        #expect(text(pool.release(connection(2), by: .init(number: 2), isClean: true, now: at(5))) == "lease 2 to 3")
        let error = PoolStories.failure(pool.acquire(request(5, deadline: 4), now: at(5)))
        #expect(error?.pool?.reason == .late)
    }

    @Test func aReaderWhoHasWaitedLongGoesBeforeAWriterWhoHasJustCome() {
        var pool = machine(open: 1) { $0.maximumConnections = 1 }
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.acquire(request(2, since: 0), now: at(0))
        _ = pool.acquire(request(3, .writer, since: 999), now: at(999))
        #expect(text(pool.release(connection(1), by: .init(number: 1), isClean: true, now: at(999))) == "lease 1 to 3")
        _ = pool.acquire(request(4, .writer, since: 1001), now: at(1001))
        #expect(text(pool.release(connection(1), by: .init(number: 3), isClean: true, now: at(1001))) == "lease 1 to 2")
    }

    @Test func aFullLaneTurnsAwayItsOwnCallersOnly() {
        var pool = machine(open: 0) { $0.maximumWaiters = 2 }
        for number in 1...2 { _ = pool.acquire(request(number), now: at(0)) }
        let error = PoolStories.failure(pool.acquire(request(3), now: at(0)))
        #expect(error?.code == .poolExhausted && error?.pool?.reason == .queueFull)
        #expect(PoolStories.failure(pool.acquire(request(4, .probe), now: at(0))) == nil)
        #expect(pool.statistics.waiting == 3 && pool.statistics.refusals == 1)
    }

    // MARK: Idle connections

    @Test func anIdleConnectionIsAskedAtItsTimeAndADeadOneReplaced() {
        var pool = machine(open: 1) {
            $0.keepAlive = .seconds(30)
            $0.keepAliveJitter = 0.5
        }
        #expect(text(pool.advance(now: at(29_999))) == "")
        #expect(text(pool.advance(now: at(30_000))).hasPrefix("check 1"))
        #expect(pool.statistics.checking == 1 && pool.statistics.idle == 0)
        #expect(text(pool.checked(connection(1), isAlive: true, now: at(30_010))) == "wake 60010")
        #expect(text(pool.advance(now: at(60_010))).hasPrefix("check 1"))
        #expect(text(pool.checked(connection(1), isAlive: false, now: at(60_100))) == "close 1, connect 2")
        #expect(text(pool.connected(connection(2), chance: 1, now: at(60_200))) == "wake 75200", "half by chance")
        #expect(pool.statistics.closes[.dead] == 1)
    }

    @Test func onlyWhatHasBeenIdleHasToAnswerBeforeItIsLent() {
        var pool = machine(open: 1) { $0.pingAfter = .seconds(1) }
        #expect(text(pool.acquire(request(1, since: 1000), now: at(1000))) == "lease 1 to 1")
        #expect(text(pool.release(connection(1), by: .init(number: 1), isClean: true, now: at(2000))) == "")
        #expect(text(pool.acquire(request(2, since: 3001), now: at(3001))) == "lease 1 to 2 if it answers")
    }

    // MARK: Leaks

    @Test func aLeakIsReportedThenItsStatementCancelledThenItsConnectionTakenBack() {
        let limits = LeaseLimits(warning: .seconds(1), cancellation: .seconds(2), reclaim: .seconds(3))
        var pool = machine(open: 1) { $0.maximumConnections = 1 }
        #expect(text(pool.acquire(request(1, .writer, limits: limits), now: at(0))) == "lease 1 to 1, wake 1000")
        _ = pool.acquire(request(2, since: 500), now: at(500))
        pool.events = []
        #expect(text(pool.advance(now: at(1000))) == "wake 2000")
        guard case .leak(.warned, let lease)? = pool.events.first else {
            Issue.record("no warning: \(pool.events)")
            return
        }
        #expect(lease.holder.description == "\"holder 1\" (Module/File.swift:1)" && lease.lane == .writer)
        #expect(lease.age == .seconds(1))
        #expect(text(pool.advance(now: at(2000))) == "cancel 1, wake 3000")
        #expect(text(pool.advance(now: at(3000))).hasPrefix("close 1"))
        #expect(text(pool.closed(connection(1), now: at(3001))) == "connect 2")
        #expect(text(pool.connected(connection(2), chance: 0, now: at(3002))) == "lease 2 to 2")
        let before = pool.statistics
        #expect(text(pool.release(connection(1), by: .init(number: 1), isClean: true, now: at(3003))) == "")
        #expect(pool.statistics.lateReturns == 1 && pool.statistics.leased == before.leased)
        #expect(pool.statistics.reclaimed == 1 && pool.statistics.brokenLaw == nil)
    }

    @Test func whoseStatementWasCancelledByThePoolIsNotLentAgain() {
        let limits = LeaseLimits(warning: nil, cancellation: .seconds(2), reclaim: nil)
        var pool = machine(open: 1)
        _ = pool.acquire(request(1, limits: limits), now: at(0))
        #expect(text(pool.advance(now: at(2000))) == "cancel 1")
        let actions = pool.release(connection(1), by: .init(number: 1), isClean: true, now: at(2100))
        #expect(text(actions).hasPrefix("close 1"))
    }

    @Test func aLeakKeepsNoShutdownFromEnding() {
        let limits = LeaseLimits(warning: nil, cancellation: nil, reclaim: .seconds(3))
        var pool = machine(open: 1)
        _ = pool.acquire(request(1, limits: limits), now: at(0))
        #expect(text(pool.shutDown(reclaimsLeased: false, now: at(1))) == "")
        #expect(text(pool.advance(now: at(3000))) == "close 1")
        #expect(text(pool.closed(connection(1), now: at(3001))) == "finish")
    }

    // MARK: Storms

    @Test func aFullServerIsLeftAloneForTheCooldown() {
        var pool = machine(open: 0) { $0.saturationCooldown = .seconds(7) }
        _ = pool.acquire(request(1, deadline: 5000), now: at(0))
        let full = PostgresError(.tooManyConnections, "sorry, too many clients already")
        let error = PoolStories.failure(pool.connectFailed(connection(1), full, chance: 0, now: at(10)))
        #expect(error?.code == .tooManyConnections && error?.pool?.reason == .saturated)
        _ = pool.acquire(request(2, since: 5000), now: at(5000))
        #expect(!text(pool.advance(now: at(7009))).contains("connect"))
        #expect(text(pool.advance(now: at(7010))).hasPrefix("connect 2"))
    }

    @Test func whileTheBreakerIsOpenOnlyThoseWaitWhoCanBeServedAfterwards() {
        var pool = machine(open: 0) {
            $0.initialBackoff = .seconds(1)
            $0.maximumConcurrentConnects = 1
        }
        _ = pool.acquire(request(1, deadline: 500), now: at(0))
        _ = pool.acquire(request(2, deadline: 5000), now: at(0))
        let refused = PostgresError(.connectionFailed, "refused")
        #expect(text(pool.connectFailed(connection(1), refused, chance: 0, now: at(10))).hasPrefix("fail 1"))
        #expect(pool.statistics.waiting == 1 && pool.statistics.breaker == .open)
        let error = PoolStories.failure(pool.acquire(request(3, deadline: 1000), now: at(20)))
        #expect(error?.code == .breakerOpen && error?.cause?.message == "refused")
        #expect(error?.pool?.reason == .breakerOpen(retryAfter: .milliseconds(990)))
        #expect(text(pool.advance(now: at(1010))).hasPrefix("connect 2"))
        #expect(pool.statistics.breaker == .halfOpen)
        #expect(text(pool.connected(connection(2), chance: 0, now: at(1020))).hasPrefix("lease 2 to 2"))
        #expect(pool.statistics.breaker == .closed)
    }

    @Test func silenceMayBeAnAccidentThreeTimes() {
        var pool = machine(open: 0) {
            $0.maximumConcurrentConnects = 1
            $0.initialBackoff = .seconds(1)
        }
        let silence = PostgresError(.timedOut, "no answer")
        _ = pool.acquire(request(1), now: at(0))
        #expect(text(pool.connectFailed(connection(1), silence, chance: 0, now: at(1))) == "connect 2")
        #expect(text(pool.connectFailed(connection(2), silence, chance: 0, now: at(2))) == "connect 3")
        #expect(text(pool.connectFailed(connection(3), silence, chance: 0, now: at(3))) == "wake 1003")
        #expect(pool.statistics.breaker == .open)
    }

    @Test func everyKindOfFailedConnectHasItsOwnReason() {
        let reasons: [(PostgresError.Code, PoolFailure.Reason)] = [
            (.connectionFailed, .refused), (.timedOut, .unanswered), (.nameResolutionFailed, .nameResolution),
            (.notPrimary, .notPrimary), (.tooManyConnections, .saturated), (.serverStarting, .starting),
            (.authenticationFailed, .authentication), (.databaseMissing, .misconfigured),
        ]
        for (code, reason) in reasons {
            var pool = machine(open: 0)
            _ = pool.acquire(request(1, deadline: 200), now: at(0))
            let actions = pool.connectFailed(connection(1), PostgresError(code, "no"), chance: 0, now: at(150))
            let error = PoolStories.failure(actions) ?? PoolStories.failure(pool.advance(now: at(200)))
            #expect(error?.code == code && error?.pool?.reason == reason && error?.cause?.message == "no")
        }
    }

    // MARK: Operators

    @Test func evictedConnectionsAreReplacedOneByOne() {
        var pool = machine(open: 3)
        _ = pool.acquire(request(1), now: at(0))
        #expect(text(pool.evictAll("roles changed", now: at(1))).hasPrefix("close 1, close 2"))
        #expect(text(pool.closed(connection(1), now: at(2))) == "connect 4", "slowly")
        #expect(text(pool.release(connection(3), by: .init(number: 1), isClean: true, now: at(3))) == "close 3")
        #expect(pool.statistics.generation == 1 && pool.statistics.closes[.evicted] == 3)
    }

    @Test func aServerThatBecameReadOnlyCostsItsWholeGenerationButNotAgainAndAgain() {
        var pool = machine(open: 2)
        _ = pool.acquire(request(1), now: at(0))
        #expect(text(pool.foundNotPrimary(connection(2), by: .init(number: 1), now: at(1))).hasPrefix("close 1"))
        #expect(text(pool.foundNotPrimary(connection(2), by: .init(number: 1), now: at(2))) == "", "of last generation")
        _ = pool.release(connection(2), by: .init(number: 1), isClean: true, now: at(3))
        _ = pool.closed(connection(1), now: at(4))
        _ = pool.connected(connection(3), chance: 0, now: at(5))
        _ = pool.acquire(request(2), now: at(6))
        #expect(text(pool.foundNotPrimary(connection(3), by: .init(number: 2), now: at(7))) == "", "too soon")
        #expect(pool.statistics.generation == 1)
        #expect(
            text(pool.foundNotPrimary(connection(3), by: .init(number: 2), now: at(10_001))).hasPrefix("close")
                || pool.statistics.generation == 2)
    }

    @Test func aPauseHoldsCallersUntilTheirDeadlineAndSaysWhy() {
        var pool = machine(open: 2)
        _ = pool.acquire(request(1), now: at(0))
        #expect(text(pool.pause("switch-over", now: at(1))) == "close 1")
        _ = pool.closed(connection(1), now: at(2))
        #expect(text(pool.acquire(request(2, deadline: 50), now: at(3))) == "wake 50")
        _ = pool.acquire(request(3, deadline: 5000), now: at(3))
        let error = PoolStories.failure(pool.advance(now: at(50)))
        #expect(error?.code == .poolPaused && error?.pool?.reason == .paused("switch-over"))
        #expect(error?.message.contains("switch-over") == true)
        #expect(text(pool.release(connection(2), by: .init(number: 1), isClean: true, now: at(60))) == "close 2")
        #expect(text(pool.closed(connection(2), now: at(61))) == "drained")
        #expect(text(pool.resume(now: at(70))) == "connect 3")
        #expect(text(pool.connected(connection(3), chance: 0, now: at(71))).hasPrefix("lease 3 to 3"))
    }

    @Test func tenThousandWaitAndAreServedInOrder() {
        var pool = machine(open: 1) {
            $0.maximumConnections = 1
            $0.maximumWaiters = 10_000
        }
        _ = pool.acquire(request(0), now: at(0))
        for number in 1...10_000 { _ = pool.acquire(request(number, deadline: 100_000 - Int64(number)), now: at(0)) }
        for number in 0..<10_000 {
            let actions = pool.release(connection(1), by: .init(number: number), isClean: true, now: at(1))
            if text(actions) != "lease 1 to \(number + 1)" { Issue.record("\(number): \(text(actions))") }
        }
        #expect(pool.statistics.waiting == 0)
    }
    // MARK: What others see

    @Test func healthTellsWhatAPersonWouldWantToKnow() {
        var pool = machine(open: 0)
        #expect(pool.health == .starting)
        _ = pool.acquire(request(1), now: at(0))
        _ = pool.connectFailed(connection(1), PostgresError(.connectionFailed, "refused"), chance: 0, now: at(1))
        #expect(pool.health == .down(.refused))
        _ = pool.advance(now: at(101))
        _ = pool.connected(connection(2), chance: 0, now: at(102))
        #expect(pool.health == .ok)
        _ = pool.acquire(request(2), now: at(103))
        _ = pool.connectFailed(connection(3), PostgresError(.tooManyConnections, "full"), chance: 0, now: at(104))
        #expect(pool.health == .degraded(.saturated))
        _ = pool.pause("upgrade", now: at(105))
        #expect(pool.health == .paused("upgrade"))
        _ = pool.shutDown(reclaimsLeased: true, now: at(106))
        #expect(pool.health == .shutDown)
        var other = machine(open: 0)
        _ = other.acquire(request(1), now: at(0))
        _ = other.connectFailed(connection(1), PostgresError(.databaseMissing, "no"), chance: 0, now: at(1))
        #expect(other.health == .misconfigured(.misconfigured))
    }

    /// A connect that was begun before everything was replaced is of no use: it keeps nobody from beginning another.
    @Test func anOutdatedConnectIsNotWaitedFor() {
        var pool = machine(open: 0) { $0.maximumConcurrentConnects = 2 }
        #expect(text(pool.acquire(request(1), now: at(0))).hasPrefix("connect 1"))
        _ = pool.evictAll("moved", now: at(1))
        #expect(pool.statistics.connecting == 2, "the outdated one still has its slot")
        #expect(text(pool.connected(connection(2), chance: 0, now: at(2))).hasPrefix("lease 2 to 1"))
        #expect(text(pool.connected(connection(1), chance: 0, now: at(3))).hasPrefix("close 1"))
    }
}
