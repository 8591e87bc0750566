import ALDCore
import Modbus

/// What a terminal's process uses, from look to look.
struct TerminalWatch {
    private typealias Look = (at: Duration, probe: ProcessProbe, traffic: Traffic)

    /// What has gone over its connections so far.
    private struct Traffic {
        /// `nil` where nobody counts.
        var toDatabase: Int?
        var fromDatabase: Int?
        /// Requests that the controller has answered.
        var requests: Int
    }

    private let kind: TerminalProcesses.Kind
    private let bench: TerminalBench
    private var first: Look?
    private var last: Look?
    private var most = (resident: 0, processor: 0.0)
    private var memory: [Series.Point] = []
    /// A shorter time shows how caches fill, and no trend.
    private static let shortestTrend = 600.0
    /// Values that the system did not tell.
    private(set) var missing = 0
    private(set) var looks = 0

    init(kind: TerminalProcesses.Kind, bench: TerminalBench) {
        (self.kind, self.bench) = (kind, bench)
    }

    /// Processors that it had at work on average.
    var processor: Double { perSecond { $0.probe.processorSeconds } ?? .nan }
    var residentBytes: Double { last?.probe.residentBytes.map(Double.init) ?? .nan }

    // MARK: Looking

    mutating func look(_ run: ScenarioRun) {
        guard let child = bench.terminals.child(kind) else {
            missing += 1
            return
        }
        let probe = ProcessProbe(of: child.processIdentifier)
        let now: Look = (run.elapsed, probe, traffic)
        looks += 1
        missing += Self.unknown(probe)
        sample(run, now)
        first = first ?? now
        last = now
    }

    private var traffic: Traffic {
        guard let way = bench.ways[kind] else { return Traffic(requests: 0) }
        let bytes = way.proxy?.evidence.bytes
        return Traffic(
            toDatabase: bytes.map { $0[.upstream] ?? 0 }, fromDatabase: bytes.map { $0[.downstream] ?? 0 },
            requests: way.controller.statistics.requests)
    }

    private static func unknown(_ probe: ProcessProbe) -> Int {
        let values: [Int?] = [
            probe.residentBytes, probe.threads, probe.descriptors, probe.sockets, probe.contextSwitches,
            probe.readBytes, probe.writtenBytes,
        ]
        return values.count { $0 == nil } + (probe.processorSeconds == nil ? 1 : 0)
    }

    private mutating func sample(_ run: ScenarioRun, _ now: Look) {
        let name = kind.rawValue
        if let bytes = now.probe.residentBytes {
            run.sample("\(name): resident memory", Double(bytes), .bytes)
            most.resident = max(most.resident, bytes)
            memory.append(Series.Point(at: now.at.inSeconds, value: Double(bytes)))
        }
        if let threads = now.probe.threads { run.sample("\(name): threads", Double(threads), .count) }
        if let descriptors = now.probe.descriptors { run.sample("\(name): descriptors", Double(descriptors), .count) }
        guard let last else { return }
        func rate(_ value: (Look) -> Double?) -> Double? { Self.perSecond(from: last, to: now, value) }
        if let busy = rate({ $0.probe.processorSeconds }) {
            run.sample("\(name): processor", busy, .ratio)
            most.processor = max(most.processor, busy)
        }
        for (series, value) in Self.rates {
            if let rate = rate(value) { run.sample("\(name): \(series)", rate, .perSecond) }
        }
    }

    /// Counted so far, and told a second; bytes, too.
    private static let rates: [(name: String, value: @Sendable (Look) -> Double?)] = [
        ("context switches", { $0.probe.contextSwitches.map(Double.init) }),
        ("bytes read from disk", { $0.probe.readBytes.map(Double.init) }),
        ("bytes written to disk", { $0.probe.writtenBytes.map(Double.init) }),
        ("bytes to the database", { $0.traffic.toDatabase.map(Double.init) }),
        ("bytes from the database", { $0.traffic.fromDatabase.map(Double.init) }),
        ("requests to the controller", { Double($0.traffic.requests) }),
    ]

    private static func perSecond(from: Look, to: Look, _ value: (Look) -> Double?) -> Double? {
        guard let before = value(from), let after = value(to), to.at > from.at else { return nil }
        return (after - before) / (to.at - from.at).inSeconds
    }

    private func perSecond(_ value: (Look) -> Double?) -> Double? {
        guard let first, let last else { return nil }
        return Self.perSecond(from: first, to: last, value)
    }

    // MARK: Noting

    func note(_ run: ScenarioRun) {
        guard let last else { return }
        let name = kind.rawValue
        run.note("\(name): processor", processor, .ratio)
        run.note("\(name): processor, most", most.processor, .ratio)
        run.note("\(name): resident memory", residentBytes, .bytes)
        run.note("\(name): resident memory, most", Double(most.resident), .bytes)
        if let first, (last.at - first.at).inSeconds >= Self.shortestTrend, let slope = RobustSlope.of(memory) {
            run.note("\(name): memory growth", slope * 3600, .bytesPerHour)
        }
        for (word, value) in [
            ("threads", last.probe.threads), ("descriptors", last.probe.descriptors), ("sockets", last.probe.sockets),
        ] {
            if let value { run.note("\(name): \(word)", count: value) }
        }
        for (word, value) in Self.rates {
            if let rate = perSecond(value) { run.note("\(name): \(word)", rate, .perSecond) }
        }
    }
}
