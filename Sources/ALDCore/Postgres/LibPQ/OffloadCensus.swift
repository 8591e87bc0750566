/// How many blocking calls of each kind are under way.
///
/// One that hangs keeps its thread beyond the deadline of its caller; at the bound, further calls fail at once instead
/// of piling up threads. Every kind has a bound of its own: dead name servers must not keep statements from ending.
struct OffloadCensus: Sendable {
    /// The raw value names the thread.
    enum Kind: String, Sendable, CaseIterable {
        case lookUp = "ald-resolve"
        case cancelRequest = "ald-cancel"

        /// The error of a call beyond the bound.
        var refusal: PostgresError {
            switch self {
            case .lookUp:
                PostgresError(
                    .nameResolutionFailed, "\(OffloadCensus.maximum) name look-ups hang already",
                    remedy: "Check the name servers of this machine, or use addresses instead of names.")
            case .cancelRequest:
                PostgresError(
                    .connectionFailed, "\(OffloadCensus.maximum) cancel requests hang already",
                    remedy: "Check the network between here and the server.")
            }
        }
    }

    /// Calls of one kind that may be under way at a time.
    static let maximum = 32

    private var counts: [Kind: Int] = [:]

    /// - Returns: whether the call may begin; it must then ``leave(_:)``.
    mutating func admit(_ kind: Kind) -> Bool {
        guard counts[kind, default: 0] < Self.maximum else { return false }
        counts[kind, default: 0] += 1
        return true
    }

    mutating func leave(_ kind: Kind) {
        counts[kind, default: 0] -= 1
    }
}
