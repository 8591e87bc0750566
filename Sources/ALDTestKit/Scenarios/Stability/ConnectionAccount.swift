/// What a process holds of connections that are used, lost and made again, and what is concluded from it.
struct ConnectionAccount: Sendable {
    /// Whose they are, for instance `database connections`.
    let kind: String
    /// What the process held before the first of them, and when all were closed again.
    var before: ProcessProbe
    var after = ProcessProbe()
    var operations = 0
    /// Of the looks the one at which there were most.
    private(set) var most = 0
    /// The same of sockets in CLOSE_WAIT; `nil` where nobody tells.
    private(set) var halfClosed: Int?
    /// Those that are still there when all should be closed.
    var left = 0
    private var watch = LeakWatch()

    init(kind: String, before: ProcessProbe) {
        (self.kind, self.before) = (kind, before)
    }

    /// - Parameter seen: what the process holds; `nil`: it is looked at.
    mutating func look(open: Int, halfClosed half: Int?, at seconds: Double, seen: ProcessProbe? = nil) {
        most = max(most, open)
        if let half { halfClosed = max(half, halfClosed ?? 0) }
        watch.look(after: operations, at: seconds, others: [kind: open], seen: seen)
    }

    func note(_ run: ScenarioRun) {
        run.note("operations", count: operations)
        run.note("connections at the most", count: most)
        if let halfClosed { run.note("sockets in CLOSE_WAIT", count: halfClosed) }
        run.note("connections left", count: left)
        watch.noteCounts(run, [kind, LeakWatch.descriptors, LeakWatch.sockets, LeakWatch.threads])
        for (name, value) in [("descriptors left", \ProcessProbe.descriptors), ("sockets left", \.sockets)] {
            if let before = before[keyPath: value], let after = after[keyPath: value] {
                run.note(name, count: max(0, after - before))
            }
        }
    }
}
