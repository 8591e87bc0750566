import ALDCore
import Synchronization

/// Readers and writers at one machine. Each writer counts up a set point of its own; whoever reads judges what it sees
/// with a ``RegisterHistory``, and set points that nobody writes must stay.
struct ControllerAccess: ScenarioWork {
    var readers: Int
    var writers: Int
    /// Operations of each client per second. A scale makes more readers, and lets as many writers write more often.
    var rate: Double
    /// How a test plants a bug between the clients and the machine.
    var around: @Sendable (any PLC) -> any PLC = { $0 }

    func run(_ run: ScenarioRun) async throws {
        for way in ControllerWay.allCases { try await access(run, way) }
    }

    private func access(_ run: ScenarioRun, _ way: ControllerWay) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 100, seed: run.seed)
        let writable = map.parameters.filter {
            $0.isWritable && $0.dataType == .float32 && $0.range.contains(0) && $0.range.upperBound > 50
        }
        // Also where nobody writes, something is there to be read.
        let written = Array(writable.prefix(max(1, writers)))
        guard written.count == max(1, writers), let untouched = writable.dropFirst(written.count).first else {
            return run.fail("the generated machine has \(writable.count) set points that can be counted up")
        }
        let clients = run.scaled(readers) + writers
        try await way.with(map, seed: run.seed, connections: clients + 1) { bench in
            try await bench.withClient { plc in
                for parameter in written { try await plc.write(0, to: parameter.id, deadline: run.patience) }
            }
            let judges = written.map { RegisterJudge($0.id) }
            let before = try await bench.device.readSetPoint(of: untouched.id, deadline: run.patience)
            let (reads, writes) = try await load(run, bench, judges)
            let after = try await bench.device.readSetPoint(of: untouched.id, deadline: run.patience)
            note(run, way, reads: reads, writes: writes)
            let problems = judges.flatMap(\.problems)
            for problem in problems.prefix(3) { run.say(problem) }
            run.note("\(way.rawValue): torn or stale values", count: problems.count)
            run.note("\(way.rawValue): written by nobody", count: before == after ? 0 : 1)
        }
    }

    private func load(
        _ run: ScenarioRun, _ bench: ControllerBench, _ judges: [RegisterJudge]
    ) async throws -> (reads: OpenLoop.Report, writes: OpenLoop.Report) {
        let reading = OpenLoop(rate: rate, duration: run.duration, clients: 1)
        let writing = OpenLoop(rate: rate * run.scale, duration: run.duration, clients: 1)
        return try await withThrowingTaskGroup(of: (isReader: Bool, OpenLoop.Report).self) { group in
            for reader in 0..<run.scaled(readers) {
                group.addTask {
                    let report = try await bench.withClient { plc in
                        let plc = around(plc)
                        return try await reading.run { _, number in
                            try await judges[number % judges.count].read(plc, by: reader, deadline: run.patience)
                        }
                    }
                    return (true, report)
                }
            }
            for writer in 0..<writers {
                group.addTask {
                    let report = try await bench.withClient { plc in
                        let plc = around(plc)
                        return try await writing.run { _, number in
                            try await judges[writer].write(number + 1, plc, deadline: run.patience)
                        }
                    }
                    return (false, report)
                }
            }
            return try await group.reduce(into: (OpenLoop.Report(), OpenLoop.Report())) { sum, part in
                if part.isReader { sum.0.add(part.1) } else { sum.1.add(part.1) }
            }
        }
    }

    private func note(_ run: ScenarioRun, _ way: ControllerWay, reads: OpenLoop.Report, writes: OpenLoop.Report) {
        run.note("\(way.rawValue): read", reads.latency)
        run.note("\(way.rawValue): reads", count: reads.succeeded)
        run.note("\(way.rawValue): read failures", count: reads.failed)
        run.sometimes("\(way.rawValue): a read", reads.succeeded > 0)
        if writers > 0 {
            run.note("\(way.rawValue): write", writes.latency)
            run.note("\(way.rawValue): write failures", count: writes.failed)
            run.sometimes("\(way.rawValue): a write", writes.succeeded > 0)
        }
        for report in [reads, writes] {
            if let error = report.firstError { run.say(error) }
            if report.dropped * 100 > report.due {
                run.doubt("\(report.dropped) of \(report.due) operations could not be begun in time")
            }
        }
    }
}

/// A set point under watch: what is written and read goes into its history.
private final class RegisterJudge: Sendable {
    private let parameter: ParameterID
    private let history = Mutex(RegisterHistory())

    init(_ parameter: ParameterID) {
        self.parameter = parameter
    }

    var problems: [String] { history.withLock(\.problems) }

    func read(_ plc: any PLC, by reader: Int, deadline: MonotonicInstant) async throws {
        let floor = history.withLock(\.ended)
        let value = try await plc.readSetPoint(of: parameter, deadline: deadline)
        history.withLock { $0.readEnded(value, by: reader, floor: floor) }
    }

    func write(_ number: Int, _ plc: any PLC, deadline: MonotonicInstant) async throws {
        history.withLock { $0.writeBegins(number) }
        try await plc.write(RegisterHistory.value(of: number), to: parameter, deadline: deadline)
        history.withLock { $0.writeEnded(number) }
    }
}
