import ALDCore

/// Readers and writers at one ``WatchedController``: whoever reads must see each value as if it had been written and read
/// at one instant, and set points that nobody writes must stay.
struct ControllerAccess: ScenarioWork {
    var readers: Int
    var writers: Int
    /// Operations of each client per second. A scale makes more readers, and lets as many writers write more often.
    var rate: Double
    /// Of so many operations of a reader one reads all values, and one all set points.
    var scansOneOf = 4
    /// How soon a served machine answers.
    var pace: ControllerPace
    /// Operations that a client has under way at the most, over one connection: what is due does not wait for an answer
    /// that takes its time.
    private static let underWay = 4
    /// How a test plants a bug between the clients and the machine.
    var around: @Sendable (any PLC) -> any PLC = { $0 }

    func run(_ run: ScenarioRun) async throws {
        for way in ControllerWay.allCases { try await access(run, way) }
    }

    private func access(_ run: ScenarioRun, _ way: ControllerWay) async throws {
        let machine = try WatchedController(writers: writers, seed: run.seed)
        // Ten clients are asked for, and controllers take five: it takes more places than those have.
        let connections = max(ControllerWay.connections, run.scaled(readers) + writers)
        try await way.with(machine.map, seed: run.seed, connections: connections, pace: pace) { bench in
            try await machine.prepare(bench.device, deadline: run.patience)
            let before = try await machine.untouched(bench.device, deadline: run.patience)
            let (reads, writes) = try await load(run, bench, machine)
            let after = try await machine.untouched(bench.device, deadline: run.patience)
            note(run, way, reads: reads, writes: writes)
            machine.note(run, way)
            run.note("\(way.rawValue): written by nobody", count: after.count { before[$0.key] != $0.value })
        }
    }

    /// What a task of the load has come to.
    private enum Part: Sendable {
        case reader(OpenLoop.Report, isReadTogether: Bool)
        case writer(OpenLoop.Report)
    }

    private func load(
        _ run: ScenarioRun, _ bench: ControllerBench, _ machine: WatchedController
    ) async throws -> (reads: OpenLoop.Report, writes: OpenLoop.Report) {
        let reading = OpenLoop(rate: rate, duration: run.duration, clients: Self.underWay)
        let writing = OpenLoop(rate: rate * run.scale, duration: run.duration, clients: Self.underWay)
        let readers = run.scaled(readers)
        return try await withThrowingTaskGroup(of: Part?.self) { group in
            group.addTask {
                try await machine.runProgram(bench.device, time: run.time)
                return nil
            }
            for reader in 0..<readers {
                group.addTask {
                    try await bench.withClient { reached in
                        let plc = around(reached)
                        // Each begins with something else.
                        let report = try await reading.run { _, number in
                            try await machine.read(
                                plc, number: number + reader, scansOneOf: scansOneOf, deadline: run.patience)
                        }
                        return .reader(report, isReadTogether: machine.isReadTogether(by: reached))
                    }
                }
            }
            for writer in 0..<writers {
                group.addTask {
                    try await bench.withClient { plc in
                        let plc = around(plc)
                        return .writer(
                            try await writing.run { _, number in
                                try await machine.write(plc, by: writer, number: number, deadline: run.patience)
                            })
                    }
                }
            }
            var (reads, writes) = (OpenLoop.Report(), OpenLoop.Report())
            for _ in 0..<readers + writers {
                switch try await group.next() {
                case .reader(let report, let isReadTogether):
                    reads.add(report)
                    if !isReadTogether { run.doubt("what is written in one request was read in several") }
                case .writer(let report): writes.add(report)
                case .some(nil), nil: break
                }
            }
            group.cancelAll()
            return (reads, writes)
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
