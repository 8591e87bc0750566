import ALDCore
import Foundation

/// What a process holds, looked at again and again while it does the same work over and over. What grows with the work
/// is a leak; the slope is the median of all slopes, which a single outlier does not move.
struct LeakWatch {
    /// `nil` for this one.
    var process: Int32?
    /// Of the looks, from the first on: buffers and caches fill up.
    var warmUp = 0.3
    private(set) var looks = 0
    private var operations: [Double] = []
    /// Since the beginning, virtual ones in virtual time.
    private var seconds: [Double] = []
    /// One value for each look; not a number where it is not known.
    private var columns: [String: [Double]] = [:]
    /// So many have their place before the first one, so that what watches does not grow itself.
    private static let capacity = 5000

    static let heap = "heap in use"
    static let resident = "resident memory"
    static let descriptors = "descriptors"
    static let sockets = "sockets"
    /// Without those of Dispatch, which come and go with the load.
    static let threads = "threads"
    static let workers = "worker threads"

    init(process: Int32? = nil, warmUp: Double = 0.3) {
        (self.process, self.warmUp) = (process, warmUp)
        operations.reserveCapacity(Self.capacity)
        seconds.reserveCapacity(Self.capacity)
    }

    /// - Parameters:
    ///   - operations: done so far.
    ///   - others: further numbers that are to stay the same.
    ///   - seen: what the process holds, for one that is not looked at; what it has allocated is among the others then.
    mutating func look(
        after operations: Int, at seconds: Double, others: [String: Int] = [:], seen: ProcessProbe? = nil
    ) {
        let probe = seen ?? ProcessProbe(of: process)
        var values = others.mapValues(Double.init)
        if seen == nil, process == nil, let bytes = ProcessProbe.heapBytes { values[Self.heap] = Double(bytes) }
        if let bytes = probe.residentBytes { values[Self.resident] = Double(bytes) }
        if let count = probe.descriptors { values[Self.descriptors] = Double(count) }
        if let count = probe.sockets { values[Self.sockets] = Double(count) }
        if let threads = probe.threads, let workers = probe.workerThreads {
            (values[Self.threads], values[Self.workers]) = (Double(threads - workers), Double(workers))
        }
        self.operations.append(Double(operations))
        self.seconds.append(seconds)
        for (name, value) in values { note(value, of: name) }
        looks += 1
    }

    private mutating func note(_ value: Double, of name: String) {
        if columns[name] == nil {
            var column: [Double] = []
            column.reserveCapacity(Self.capacity)
            columns[name] = column
        }
        while columns[name, default: []].count < looks { columns[name, default: []].append(.nan) }
        columns[name, default: []].append(value)
    }

    private func points(_ name: String, by places: [Double]) -> [Series.Point] {
        zip(places, columns[name] ?? []).dropFirst(Int(Double(looks) * warmUp)).compactMap { place, value in
            value.isNaN ? nil : Series.Point(at: place, value: value)
        }
    }

    /// How many of these there are more, by the trend from the warm-up to the end; `nil` when too little is known.
    func gained(_ name: String) -> Double? {
        let points = points(name, by: operations)
        guard let slope = RobustSlope.of(points), let first = points.first, let last = points.last else { return nil }
        return slope * (last.at - first.at)
    }

    /// What each operation has left behind; `nil` when too little is known.
    func perOperation(_ name: String) -> Double? { RobustSlope.of(points(name, by: operations)) }

    /// By how much it has grown, as a part of what it was after the warm-up; `nil` when too little is known.
    func growth(_ name: String) -> Double? {
        guard let gained = gained(name), let first = points(name, by: operations).first?.value, first > 0 else {
            return nil
        }
        return gained / first
    }

    /// In an hour; `nil` when too little is known.
    func perHour(_ name: String) -> Double? { RobustSlope.of(points(name, by: seconds)).map { $0 * 3600 } }

    /// By how much its median in each window is more than in the one before, as a part of that; after the warm-up.
    ///
    /// - Parameter count: looks in a window.
    func growth(_ name: String, inWindowsOf count: Int) -> [Series.Point] {
        let all = points(name, by: seconds)
        let windows = stride(from: 0, through: all.count - count, by: count).map { begin -> Series.Point in
            let values = all[begin..<begin + count].map(\.value).sorted()
            return Series.Point(at: all[begin].at, value: values[count / 2])
        }
        return zip(windows, windows.dropFirst()).compactMap { earlier, later in
            earlier.value > 0 ? Series.Point(at: later.at, value: later.value / earlier.value - 1) : nil
        }
    }

    /// The series of what grows of `name` from one hour to the next, which no trend over all of them shows.
    ///
    /// - Parameter count: looks in an hour.
    func noteHours(_ run: ScenarioRun, _ name: String, looks count: Int) {
        let beginning = run.time.now - run.elapsed
        for point in growth(name, inWindowsOf: count) {
            run.sample("memory growth in an hour", point.value, .ratio, at: beginning + .seconds(point.at))
        }
    }

    /// Notes the trend of what is counted.
    func noteCounts(
        _ run: ScenarioRun, _ names: [String] = [LeakWatch.descriptors, LeakWatch.sockets, LeakWatch.threads]
    ) {
        run.note("looks", count: looks)
        for name in names + [Self.workers] {
            // Half of one more is none; what cannot be counted here stays open.
            if let gained = gained(name) { run.note("\(name) gained", count: Int(gained.rounded())) }
            if let last = columns[name]?.last { run.note(name, count: Int(last)) }
        }
    }

    /// Notes what grows of `name`, in bytes.
    func noteBytes(_ run: ScenarioRun, _ name: String) {
        if let last = columns[name]?.last { run.note(name, last, .bytes) }
        if let growth = growth(name) { run.note("memory growth", growth, .ratio) }
        if let rate = perHour(name) { run.note("memory growth rate", rate, .bytesPerHour) }
        if let left = perOperation(name) { run.note("\(name) per operation", left, .bytes) }
        if columns[name] == nil { run.doubt("\(name) is known on Linux with the GNU C library only") }
    }
}
