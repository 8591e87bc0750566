import ALDCore

/// What a channel that is cut again and again leaves behind, and what is concluded from it.
struct ChannelAccount: Sendable {
    /// From each cut until the bell worked again.
    var times = DurationHistogram()
    /// Sessions of the database that listen: the fewest and the most when a cut was over, and those at the end.
    private(set) var listeners: ClosedRange<Int>?
    var left = 0
    /// Sockets in CLOSE_WAIT, at most; `nil` where nobody tells.
    private(set) var halfClosed: Int?
    private var watch = LeakWatch()

    /// - Parameters:
    ///   - cuts: so far.
    ///   - seen: what the process holds; `nil`: it is looked at.
    mutating func look(
        listeners open: Int, halfClosed half: Int?, after cuts: Int, at seconds: Double, seen: ProcessProbe? = nil
    ) {
        let known = listeners ?? open...open
        listeners = min(known.lowerBound, open)...max(known.upperBound, open)
        if let half { halfClosed = max(half, halfClosed ?? 0) }
        watch.look(after: cuts, at: seconds, others: ["listeners": open], seen: seen)
    }

    func note(_ run: ScenarioRun) {
        run.note("reconnection", times)
        run.note("reconnections", count: times.count)
        if let listeners {
            // One that does not listen is as wrong as one too many.
            run.note("listeners after a cut", count: listeners.lowerBound == 0 ? 0 : listeners.upperBound)
        }
        if let halfClosed { run.note("sockets in CLOSE_WAIT", count: halfClosed) }
        run.note("listeners left", count: left)
        watch.noteCounts(run, ["listeners", LeakWatch.descriptors, LeakWatch.sockets, LeakWatch.threads])
    }
}
