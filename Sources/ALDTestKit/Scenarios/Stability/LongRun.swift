import ALDCore
import Foundation
import Logging

/// All terminals for a day or for three of virtual time, with what goes wrong in it. A shorter run has the same faults,
/// commands and recipes, closer together, and a smaller machine.
///
/// What is judged: nothing is lost, everything that is asked for is done in the end, though maybe at the second attempt,
/// and neither memory nor descriptors nor the time of a cycle rise.
struct LongRun: ScenarioWork {
    /// As the requirement has it: how many hours of it the whole run stands for.
    var hours: Int
    /// Drawn by chance, one each four hours; otherwise those of the requirement's day.
    var isRandom = false

    var unheeded: [RunOption: String] { [.scale: "cycles, recipes and commands are those of the requirement"] }

    private typealias Planned = (hour: Int, words: String, trouble: VirtualFaults.Trouble, longest: Duration)

    private static func trouble(_ change: (inout VirtualFaults.Trouble) -> Void) -> VirtualFaults.Trouble {
        var trouble = VirtualFaults.Trouble()
        change(&trouble)
        return trouble
    }

    private static let kinds: [(words: String, trouble: VirtualFaults.Trouble, longest: Duration)] = [
        ("statements take 5 s", trouble { $0.databaseDelay = .seconds(5) }, .minutes(10)),
        ("the controller is gone", trouble { $0.controllerIsDown = true }, .minutes(2)),
        ("the database takes 30 calls a minute", trouble { $0.rateLimit = 30 }, .minutes(10)),
        (
            "everything is late by 500 ms",
            trouble { ($0.databaseDelay, $0.controllerDelay) = (.milliseconds(500), .milliseconds(500)) }, .minutes(10)
        ),
        ("the database is gone", trouble { $0.databaseIsDown = true }, .minutes(10)),
    ]

    private func plan(_ seed: UInt64) -> [Planned] {
        guard isRandom else {
            return zip([8, 12, 16, 20], Self.kinds).map { ($0, $1.words, $1.trouble, $1.longest) }
        }
        var random = SeededGenerator(seed: seed)
        return stride(from: 4, to: hours, by: 4).map { hour in
            let kind = Self.kinds[Int.random(in: Self.kinds.indices, using: &random)]
            return (hour, kind.words, kind.trouble, kind.longest)
        }
    }

    /// In whole nanoseconds: clocks have no shorter ones, and one that is almost there would wait for ever.
    fileprivate static func part(_ duration: Duration, _ count: Int) -> Duration {
        .nanoseconds(duration.wholeNanoseconds / Int64(count))
    }

    func run(_ run: ScenarioRun) async throws {
        try await VirtualPlant.withDirectory(run) { directory in
            try await inBackground { try await simulate(run, directory) }
        }
    }

    private func simulate(_ run: ScenarioRun, _ directory: String) async throws {
        // What the requirement calls an hour.
        let hour = Self.part(run.duration, hours)
        var load = VirtualPlant.Load()
        (load.command, load.recipe) = (Self.part(hour, 10), hour)
        load.parameters = run.duration < .hours(hours) ? 10 : 51
        let path = directory + "/log/plant.log"
        var log: LogFile?
        var plant = try VirtualPlant(load, directory: directory, seed: run.seed) { time in
            log = try LogFile(path, policy: Self.policy, time: time) { run.fail($0) }
            guard let log else { return TestDatabase.quiet }
            return Logger(label: "ald.plant") { _ in FileLogHandler(log, time: time) }
        }
        guard let log else { throw NeverHappened(description: "no log file") }
        defer { log.close() }
        plant.begin()
        var diary = Diary(run, hour: hour, logger: plant.logger)
        for fault in plan(run.seed) {
            try diary.pass(&plant, until: hour * fault.hour)
            try await run.fault("hour \(fault.hour): \(fault.words)") {
                plant.faults.begin(fault.trouble)
                let bites = plant.faults.bites
                try diary.pass(&plant, until: hour * fault.hour + min(fault.longest, hour / 2))
                plant.faults.heal()
                return plant.faults.bites - bites
            }
        }
        try diary.pass(&plant, until: run.duration)
        try finish(run, &plant, &diary)
        try judgeLog(run, log, path)
    }

    /// The day changes in it, and it is full several times in a short run, too.
    private static let policy = {
        var policy = LogRotation.Policy()
        (policy.maximumBytes, policy.keptFiles) = (20_000, 1000)
        return policy
    }()

    private func finish(_ run: ScenarioRun, _ plant: inout VirtualPlant, _ diary: inout Diary) throws {
        var settled = try plant.settle(within: .seconds(30))
        run.note("recovery", settled ?? .seconds(3600))
        // Whoever asked for something during the last fault asks again.
        for _ in 0..<3 where settled != nil {
            plant.askAgain()
            settled = try plant.settle(within: .minutes(5))
        }
        for problem in try plant.end() { run.fail(problem) }
        plant.note(run)
        diary.note(plant)
    }

    /// Every line is in exactly one file, and they are in order.
    private func judgeLog(_ run: ScenarioRun, _ log: LogFile, _ path: String) throws {
        if !log.finishArchives(within: .seconds(30)) { run.fail("what was put away of the log is not compressed") }
        var (lines, disorders, last) = (0, 0, "")
        try LogHistory.forEachLine(of: path) { line, _ in
            let time = String(line.prefix(27))
            lines += 1
            if time < last { disorders += 1 }
            last = time
        }
        run.note("log files put away", count: try LogHistory.archives(of: path).count)
        run.note("log lines lost or out of order", count: abs(log.statistics.written - lines) + disorders)
    }
}

/// What is looked at while a ``LongRun`` lasts: every five minutes of what the requirement calls an hour.
private struct Diary {
    private let run: ScenarioRun
    private let hour: Duration
    private let interval: Duration
    private let logger: Logger
    private var watch = LeakWatch(warmUp: 0.2)
    private var next: Duration
    private var looks = 0
    /// From reading to landing, in the first hour and in the newest that is over.
    private var delays: (first: Duration?, last: Duration?)

    private static let looksAnHour = 12

    init(_ run: ScenarioRun, hour: Duration, logger: Logger) {
        (self.run, self.hour, self.logger) = (run, hour, logger)
        interval = LongRun.part(hour, Self.looksAnHour)
        next = interval
    }

    mutating func pass(_ plant: inout VirtualPlant, until end: Duration) throws {
        while plant.elapsed < end {
            try plant.pass(min(next, end) - plant.elapsed)
            run.advance(toVirtual: plant.elapsed)
            guard plant.elapsed >= next else { continue }
            next += interval
            look(plant)
            plant.askAgain()
        }
    }

    private mutating func look(_ plant: VirtualPlant) {
        let (collected, written) = (plant.collection.statistics, plant.writer.statistics)
        watch.look(after: collected.cycles, at: plant.elapsed.inSeconds)
        looks += 1
        if looks.isMultiple(of: Self.looksAnHour) { endHour(plant, looks / Self.looksAnHour) }
        run.sample("heap in use", Double(ProcessProbe.heapBytes ?? 0), .bytes)
        run.sample("records in the spool", Double(written.spooled), .count)
        run.sample("missed instants", Double(collected.missed), .count)
        if !written.isBalanced { run.fail("the writer's account: \(written)") }
        if written.lost > 0 { run.fail("\(written.lost) records were lost on the disk") }
        logger.info(
            "at work",
            metadata: [
                "cycles": "\(collected.cycles)", "missed": "\(collected.missed)", "spooled": "\(written.spooled)",
                "commands": "\(plant.database.asked)", "recipes": "\(plant.database.recipesAsked)",
            ])
    }

    private mutating func endHour(_ plant: VirtualPlant, _ number: Int) {
        let delay = plant.database.takeDelay()
        delays = (delays.first ?? delay, delay)
        if let delay { run.sample("reading to landing", delay.inSeconds, .seconds) }
        guard number.isMultiple(of: 12) else { return }
        let probe = ProcessProbe()
        run.say(
            "hour \(number): \(Quantity.bytes.text(Double(ProcessProbe.heapBytes ?? 0))) in use, "
                + "\(probe.descriptors ?? 0) descriptors, \(probe.threads ?? 0) threads, "
                + "\(plant.writer.statistics.spooled) records in the spool")
    }

    func note(_ plant: VirtualPlant) {
        if let first = delays.first, let last = delays.last {
            run.note("reading to landing in the first hour", first)
            run.note("reading to landing in the last hour", last)
            run.note("slower than in the first hour", last.inSeconds / first.inSeconds - 1, .ratio)
        }
        watch.noteBytes(run, LeakWatch.heap)
        watch.noteHours(run, LeakWatch.heap, looks: Self.looksAnHour)
        watch.noteCounts(run, [LeakWatch.descriptors, LeakWatch.threads])
    }
}
