import Logging
import Synchronization

/// From host names to addresses.
extension PostgresConnection {
    private static let names = Mutex(NameMemory())

    /// The addresses to try, and what was wrong with the names that have none.
    func candidates(
        of hosts: HostList, until limit: MonotonicInstant, _ lookUp: @escaping NameResolution.LookUp
    ) async throws(PostgresError) -> ([ConnectCandidate], [PostgresError]) {
        var candidates: [ConnectCandidate] = []
        var failures: [PostgresError] = []
        var pending = hosts.entries.count { $0.needsLookup }
        for entry in hosts.entries {
            guard entry.needsLookup else {
                candidates += hosts.candidates(for: entry, resolved: [])
                continue
            }
            // One share more than there are look-ups: for the connects.
            let share = (limit - systemClock.now) / (pending + 1)
            pending -= 1
            switch try await answer(entry.host, until: systemClock.now + share, lookUp) {
            case .success(let addresses): candidates += hosts.candidates(for: entry, resolved: addresses)
            case .failure(let error): failures.append(error)
            }
        }
        return (candidates, failures)
    }

    /// - Throws: only when the task was cancelled.
    private func answer(
        _ host: String, until limit: MonotonicInstant, _ lookUp: @escaping NameResolution.LookUp
    ) async throws(PostgresError) -> Result<[String], PostgresError> {
        let failure: PostgresError
        switch try await ask(host, until: limit, lookUp) {
        case .success(let addresses):
            Self.names.withLock { $0.remember(addresses, of: host, now: systemClock.now) }
            return .success(addresses)
        case .failure(let refusal) where refusal.isFinal:
            Self.names.withLock { $0.forget(host) }
            return .failure(refusal.error)
        case .failure(let refusal): failure = refusal.error
        }
        guard let known = Self.names.withLock({ $0.recall(host, now: systemClock.now) }) else {
            return .failure(failure)
        }
        logger.warning(
            "the name of the database server cannot be looked up; its last known addresses are used",
            metadata: [
                "host": "\(host)", "addresses": "\(known.addresses.joined(separator: ", "))", "age": "\(known.age)",
                "error": "\(failure)",
            ])
        return .success(known.addresses)
    }

    private func ask(
        _ host: String, until limit: MonotonicInstant, _ lookUp: @escaping NameResolution.LookUp
    ) async throws(PostgresError) -> Result<[String], NameResolution.Failure> {
        let answer: Result<[String], NameResolution.Failure>?
        do throws(PostgresError) {
            answer = try await reactor.offload(.lookUp, until: limit, heedingCancellation: true) { lookUp(host) }
        } catch {
            // So many look-ups hang already that this one could not begin.
            return .failure(NameResolution.Failure(error: error, isFinal: false))
        }
        if let answer { return answer }
        var error = Self.interrupted("looking up the host name \"\(host)\" took too long", place: host)
        if error.code == .cancelled { throw error }
        error.code = .nameResolutionFailed
        error.remedy = "Check the name servers of this machine, or use addresses instead of names."
        return .failure(NameResolution.Failure(error: error, isFinal: false))
    }
}
