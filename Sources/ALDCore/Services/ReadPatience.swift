/// How long a controller may take to answer: less than a period while it is quick, as long as it needs while it is slow, up
/// to a bound.
///
/// Who always gives up before the next instant records nothing at all of a controller that is slower than that. So it gets
/// twice the time that it took, or twice what was not enough. It is trusted to be quick again step by step, so that one
/// whose pace changes is not given up each time it falls back. Of one that cannot be reached nobody knows how slow it is;
/// a reading that waited for a connection would be stamped long before it was made.
struct ReadPatience: Sendable {
    private let shortest: Duration
    private let longest: Duration
    /// Of the next reading, counted from its instant.
    private(set) var timeout: Duration

    init(_ configuration: DataCollectionService.Configuration) {
        shortest = configuration.effectiveReadTimeout
        longest = max(shortest, configuration.slowReadTimeout)
        timeout = shortest
    }

    /// A reading has ended. One that brought only a part of the values may have taken all its time.
    mutating func answered(after took: Duration) {
        set(max(took * 2, timeout / 2))
    }

    mutating func failed(_ error: PLCError) {
        if case .unanswered = error { set(timeout * 2) } else { timeout = shortest }
    }

    private mutating func set(_ wanted: Duration) { timeout = min(max(wanted, shortest), longest) }
}
