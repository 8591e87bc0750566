import Testing

@testable import ALDCore

@Suite(.background) struct StatementCacheTests {
    private func key(_ sql: String, _ types: [UInt32] = []) -> StatementCache.Key {
        StatementCache.Key(sql: sql, types: types)
    }

    @discardableResult
    private func prepare(_ cache: inout StatementCache, _ key: StatementCache.Key) throws -> String {
        guard case .prepare(let name, let dropping) = cache.use(key, isInTransaction: false) else {
            throw NotPrepared()
        }
        cache.dropped(dropping)
        cache.prepared(key, as: name)
        return name
    }

    private struct NotPrepared: Error {}

    @Test func aStatementIsPreparedOnceForEveryTextAndTypes() throws {
        var cache = StatementCache(capacity: 4)
        let first = try prepare(&cache, key("a", [23]))
        let second = try prepare(&cache, key("a", [25]))
        #expect(first != second)
        #expect(cache.use(key("a", [23]), isInTransaction: true) == .execute(name: first))
        #expect(cache.use(key("a", [25]), isInTransaction: false) == .execute(name: second))
    }

    @Test func aStatementThatMayExistIsTakenBackWithTheNextOne() throws {
        var cache = StatementCache(capacity: 4)
        guard case .prepare(let lost, dropping: []) = cache.use(key("a"), isInTransaction: false) else {
            Issue.record("a is new")
            return
        }
        cache.inDoubt(lost)
        guard case .prepare(let name, dropping: [lost]) = cache.use(key("a"), isInTransaction: false) else {
            Issue.record("the name is still taken")
            return
        }
        #expect(name != lost)
        cache.dropped([lost])
        cache.prepared(key("a"), as: name)
        #expect(cache.use(key("a"), isInTransaction: false) == .execute(name: name))
        cache.disable()
        cache.inDoubt("x")
        #expect(cache.use(key("a"), isInTransaction: false) == .unnamed)
    }

    @Test func theLeastRecentlyUsedOneMakesRoom() throws {
        var cache = StatementCache(capacity: 2)
        let first = try prepare(&cache, key("a"))
        let second = try prepare(&cache, key("b"))
        #expect(cache.use(key("a"), isInTransaction: false) == .execute(name: first))
        guard case .prepare(_, dropping: [second]) = cache.use(key("c"), isInTransaction: false) else {
            Issue.record("b should go")
            return
        }
        #expect(cache.count == 1)
    }

    @Test func nothingIsDroppedInsideOfATransaction() throws {
        var cache = StatementCache(capacity: 1)
        try prepare(&cache, key("a"))
        #expect(cache.use(key("b"), isInTransaction: true) == .unnamed)
        cache.forget(key("a"))
        guard case .prepare(_, dropping: []) = cache.use(key("b"), isInTransaction: true) else {
            Issue.record("there is room for b")
            return
        }
    }

    /// A drop that was not confirmed is tried again.
    @Test func whatWasNotDroppedIsDroppedNextTime() throws {
        var cache = StatementCache(capacity: 1)
        let first = try prepare(&cache, key("a"))
        for _ in 0..<2 {
            guard case .prepare(_, dropping: [first]) = cache.use(key("b"), isInTransaction: false) else {
                Issue.record("a should go")
                return
            }
        }
    }

    @Test func namesAreNeverUsedTwice() throws {
        var cache = StatementCache(capacity: 1)
        var names: Set<String> = []
        for index in 0..<100 { names.insert(try prepare(&cache, key("\(index)"))) }
        #expect(names.count == 100)
    }

    @Test func onceOffItStaysOff() throws {
        var cache = StatementCache(capacity: 1)
        try prepare(&cache, key("a"))
        cache.disable()
        #expect(cache.use(key("a"), isInTransaction: false) == .unnamed)
        #expect(StatementCache(capacity: 0).isEnabled == false)
    }
}
