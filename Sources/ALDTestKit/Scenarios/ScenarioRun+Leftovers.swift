import ALDCore

extension ScenarioRun {
    /// Looks again and again until at most `expected` are left: whoever closes and whoever notices takes a moment, what is
    /// left after that is a leak.
    ///
    /// - Parameters:
    ///   - what: the state that is waited for.
    ///   - count: how many there are now.
    /// - Returns: what the last look has found. One more could see the session of this one end.
    func leftovers(
        _ what: String, within limit: Duration = .seconds(30), expected: Int = 0, least: Int = 0,
        _ count: () async throws -> Int
    ) async throws -> Int {
        var left = 0
        do {
            try await eventually(what, within: limit) {
                left = try await count()
                return (least...max(least, expected)).contains(left)
            }
        } catch let problem as NeverHappened {
            say("\(problem)")
        }
        return left
    }
}
