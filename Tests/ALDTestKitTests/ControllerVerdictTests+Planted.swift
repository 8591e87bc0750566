import ALDCore
import Foundation
import Synchronization
import Testing

@testable import ALDTestKit

/// A machine that a bug stands before.
private struct PlantedPLC: PLC {
    enum Bug {
        /// A value is missing in each reading.
        case leavesHoles
        /// One half of a set point is that of the value before.
        case tearsValues
        /// Every other time a set point is read, or all values are, it is what it was the time before.
        case isBehind, scansBehind
        /// One value of each reading is that of the reading before.
        case mixesScans
        /// Every other operation fails.
        case failsReads, failsWrites
        /// Every other write is done by saying that it is.
        case dropsWrites
        /// What is written goes into the next set point, too.
        case spills
    }

    let plc: any PLC
    let bug: Bug
    private let state = Kept()

    init(_ plc: any PLC, _ bug: Bug) {
        (self.plc, self.bug) = (plc, bug)
    }

    private final class Kept: Sendable {
        let operations = Mutex(0)
        let values = Mutex([ParameterID: Double]())
        let scan = Mutex(Scan?.none)
    }

    private func isTurn() -> Bool {
        state.operations.withLock { count in
            count += 1
            return count % 2 == 0
        }
    }

    var registerMap: RegisterMap { plc.registerMap }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        var scan = try await plc.scan(deadline: deadline)
        let before = state.scan.withLock { kept in
            defer { kept = scan }
            return kept ?? scan
        }
        switch bug {
        case .leavesHoles:
            scan.readings[0] = Reading(parameter: scan.readings[0].parameter, value: nil, quality: .bad)
        case .scansBehind: if isTurn() { scan.readings = before.readings }
        case .mixesScans:
            let place = registerMap.parameters.firstIndex { $0.component == "Supervisor" } ?? 0
            scan.readings[place] = before.readings[place]
        default: break
        }
        return scan
    }

    func readSetPoint(of id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        if bug == .failsReads, isTurn() { throw .unreachable("planted") }
        let value = try await plc.readSetPoint(of: id, deadline: deadline)
        let before = state.values.withLock { $0.updateValue(value, forKey: id) } ?? value
        switch bug {
        case .tearsValues:
            let (new, old) = (Float(value).bitPattern, Float(before).bitPattern)
            return Double(Float(bitPattern: old & 0xFFFF_0000 | new & 0xFFFF))
        case .isBehind: return isTurn() ? before : value
        default: return value
        }
    }

    func readSetPoints(deadline: MonotonicInstant) async throws(PLCError) -> [ParameterID: Double] {
        try await plc.readSetPoints(deadline: deadline)
    }

    func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        if bug == .failsWrites, isTurn() { throw .unreachable("planted") }
        if bug == .dropsWrites, isTurn() { return }
        try await plc.write(value, to: id, deadline: deadline)
        guard bug == .spills else { return }
        let beside = registerMap.parameters.drop { $0.id != id }.dropFirst().first {
            $0.isWritable && $0.dataType == .float32 && $0.range.contains(0) && $0.range.upperBound > 50
        }
        if let beside { try await plc.write(value, to: beside.id, deadline: deadline) }
    }
}

/// What is read, written, loaded and left behind, with a bug in it.
extension ControllerVerdictTests {
    /// Of both ways.
    private func both(_ names: String...) -> Set<String> {
        Set(ControllerWay.allCases.flatMap { way in names.map { "\(way.rawValue): \($0)" } })
    }

    private func failing(_ result: ScenarioResult) -> Set<String> {
        Set(result.findings.filter { $0.verdict == .fail }.map(\.criterion.measure))
    }

    // MARK: Access

    @Test(
        "what readers must not see and writers must not do is found out, both ways",
        arguments: [
            (PlantedPLC.Bug.tearsValues, "torn or stale values"), (.isBehind, "torn or stale values"),
            (.scansBehind, "torn or stale values"), (.mixesScans, "torn or stale values"),
            (.dropsWrites, "torn or stale values"), (.failsReads, "read failures"), (.failsWrites, "write failures"),
            (.leavesHoles, "read failures"), (.spills, "written by nobody"),
        ])
    private func access(bug: PlantedPLC.Bug, measure: String) async throws {
        let work = ControllerAccess(
            readers: 2, writers: 2, rate: 50, pace: .delayed, around: { PlantedPLC($0, bug) })
        let result = try await result("PLC-CA-03", for: .milliseconds(500), work)
        // What spills over from the first writer's set point is read in that of the second.
        let further = bug == .spills ? both("torn or stale values") : []
        #expect(
            result.verdict == .fail && failing(result).subtracting(further) == both(measure),
            "\(bug): \(result.reasons)")
    }

    @Test(
        "where nobody writes but the machine, what readers must not see is found out, too, both ways",
        arguments: [PlantedPLC.Bug.tearsValues, .isBehind, .scansBehind, .mixesScans])
    private func reading(bug: PlantedPLC.Bug) async throws {
        let work = ControllerAccess(readers: 2, writers: 0, rate: 50, pace: .delayed, around: { PlantedPLC($0, bug) })
        let result = try await result("PLC-CA-01", for: .milliseconds(500), work)
        #expect(
            result.verdict == .fail && failing(result) == both("torn or stale values"), "\(bug): \(result.reasons)")
    }

    @Test("readers of a machine on which nothing changes show nothing")
    func standstill() async throws {
        let machine = try WatchedController(writers: 1, seed: 1)
        let device = SimulatedPLC(machine.map, seed: 1)
        let deadline = SystemTime().now + .seconds(10)
        try await machine.prepare(device, deadline: deadline)
        for number in 0..<100 { try await machine.read(device, number: number, scansOneOf: 4, deadline: deadline) }
        let result = try await result(
            "PLC-CA-01",
            Work { run in
                for way in ControllerWay.allCases {
                    machine.note(run, way)
                    for measure in ["read failures", "written by nobody"] {
                        run.note("\(way.rawValue): \(measure)", count: 0)
                    }
                }
            })
        #expect(result.verdict == .unknown && failing(result) == [], "\(result.reasons)")
    }

    @Test("what clients that come and go leave behind is found out")
    func churn() async throws {
        func judge(_ bug: @Sendable @escaping (inout ChurnAccount) -> Void) async throws -> ScenarioResult {
            try await result(
                "PLC-CA-04",
                Work { run in
                    var account = ChurnAccount(succeeded: 0, failed: 0, descriptorsBefore: 30, descriptorsAfter: 30)
                    bug(&account)
                    account.note(run)
                })
        }
        #expect(try await judge { _ in }.verdict == .unknown, "no cycle shows nothing")
        let cases: [(String, @Sendable (inout ChurnAccount) -> Void)] = [
            ("cycle failures", { $0.failed = 1 }), ("connections left", { $0.open = 1 }),
            ("descriptors left", { $0.descriptorsAfter = 31 }),
        ]
        for (measure, bug) in cases {
            let bad = try await judge(bug)
            #expect(bad.verdict == .fail && failing(bad) == [measure])
        }
        for bug in cases.dropFirst().map(\.1) {
            var account = ChurnAccount(succeeded: 1, failed: 0, descriptorsBefore: 30, descriptorsAfter: 30)
            #expect(account.isClean)
            bug(&account)
            #expect(!account.isClean)
        }
        #expect(try await judge { $0.descriptorsAfter = nil }.verdict == .unknown)
        let good = try await judge { ($0.succeeded, $0.accepted) = (20, 20) }
        #expect(good.verdict == .pass, "\(good.reasons)")
        #expect(try await judge { ($0.succeeded, $0.accepted) = (20, 19) }.verdict == .unknown)
    }

    @Test("a limit that is another one, refusals without a reason and what stays open are found out")
    func limit() async throws {
        func judge(_ bug: @Sendable @escaping (inout LimitAccount) -> Void) async throws -> ScenarioResult {
            try await result(
                "PLC-CONNECTIONS",
                Work { run in
                    let address = "127.0.0.1:1502"
                    var account = LimitAccount(address: address, isServedLater: true)
                    account.attempts = (0..<20).map { $0 < 5 ? nil : "no connection to \(address): connection refused" }
                    bug(&account)
                    account.note(run)
                })
        }
        let good = try await judge { _ in }
        #expect(good.verdict == .pass, "\(good.reasons)")
        let more = try await judge { $0.attempts[5] = nil }
        #expect(failing(more) == ["connections at a time", "refused", "refusals that say why"])
        let fewer = try await judge { $0.attempts[4] = $0.attempts[5] }
        #expect(failing(fewer) == ["connections at a time", "refused", "refusals that say why"])
        for words in ["", "no answer by the deadline", "connection refused", "no connection to 127.0.0.1:1502"] {
            let silent = try await judge { $0.attempts[19] = words }
            #expect(silent.verdict == .fail && failing(silent) == ["refusals that say why"], "\(words)")
        }
        #expect(failing(try await judge { $0.isServedLater = false }) == ["had after one was given up"])
        #expect(failing(try await judge { $0.left = 1 }) == ["left open"])
    }

    // MARK: Speed

    @Test("values that are missing are found out, both ways", arguments: ["PLC-PS-01", "PLC-PS-02", "PLC-PS-03"])
    func holes(id: String) async throws {
        let work = ScanSpeed(parameters: 20, around: { PlantedPLC($0, .leavesHoles) })
        let holed = try await result(id, for: .milliseconds(100), work)
        #expect(holed.verdict == .fail && failing(holed).isSuperset(of: both("missing values")))
    }

    @Test("parameters that are missing in the database or at the machine are found out")
    func loading() async throws {
        let map = try GeneratedMachine.registerMap(parameters: 3, seed: 1)
        let ids = map.parameters.map(\.id)
        let readings = ids.map { Reading(parameter: $0, value: 1, quality: .good) }
        func missing(_ known: [ParameterID], _ readings: [Reading]) -> Int {
            LoadedParameters(known: Set(known), readings: readings).missing(of: map)
        }
        #expect(missing(ids, readings) == 0)
        #expect(missing([ids[0], ids[1]], readings) == 1)
        #expect(missing(ids, Array(readings.dropLast())) == 1)
        var holed = readings
        holed[0] = Reading(parameter: ids[0], value: nil, quality: .bad)
        #expect(missing(ids, holed) == 1)
        // One is missing here and another one there.
        #expect(missing([ids[1], ids[2]], Array(readings.dropLast())) == 2)
        #expect(missing([ids[0], ids[1], ParameterID(rawValue: 99)], readings) == 1)
        let host = ScenarioHost()
        try await withCleanup {
            let work = ParameterLoading(parameters: 20, around: { PlantedPLC($0, .leavesHoles) })
            for id in ["PLC-PS-04", "PLC-PS-05"] {
                let holed = try await result(id, on: host, work)
                #expect(holed.verdict == .fail && failing(holed).isSuperset(of: both("missing parameters")))
            }
        } cleanup: {
            try await host.stop()
        }
    }

    // MARK: Memory

    /// - Parameters:
    ///   - grown: what each way has allocated at the end, and 100 000 at the beginning.
    ///   - id: of a scenario for which nothing else is missing.
    private func remembered(_ id: String, direct: Int, wired: Int) async throws -> ScenarioResult {
        try await result(
            id,
            Work { run in
                var memory = MemoryGrowth(over: .hours(24))
                var watch = LeakWatch(process: getpid(), warmUp: 0)
                for look in 0...24 {
                    memory.add(100_000 + (direct - 100_000) * look / 24, at: look * 3600)
                    watch.look(
                        after: look, at: Double(look),
                        others: [LeakWatch.heap: 100_000 + (wired - 100_000) * look / 24])
                }
                memory.note(run)
                watch.note(run, .wired)
                for way in ControllerWay.allCases {
                    for measure in ["missing reads", "missing writes", "unseen changes"] {
                        run.note("\(way.rawValue): \(measure)", count: 0)
                    }
                    run.note("\(way.rawValue): entries beyond those there are", count: 0)
                }
            })
    }

    @Test(
        "memory that grows is found out, on either way",
        arguments: ["PLC-ML-01", "PLC-ML-02", "PLC-ML-03", "PLC-ML-04"]
    )
    func memory(id: String) async throws {
        let isLong = id == "PLC-ML-03"
        let (less, more) = isLong ? (113_000, 120_000) : (108_000, 115_000)
        let good = try await remembered(id, direct: less, wired: less)
        #expect(good.verdict == .pass, "\(good.reasons)")
        #expect(failing(try await remembered(id, direct: more, wired: less)) == ["direct: memory growth"])
        #expect(failing(try await remembered(id, direct: less, wired: more)) == ["wired: memory growth"])
        #expect(try await remembered(id, direct: 90_000, wired: 90_000).verdict == .pass)
    }

    @Test("parameters that are gone and kept, or there and not seen, are found out, both ways")
    func turnover() async throws {
        let all = try GeneratedMachine.registerMap(parameters: 200, seed: 1)
        func judge(
            _ look: @escaping @Sendable (inout ParameterTurnover, _ before: [Int32: MachineMetadata.Entry]) -> Void
        ) async throws -> Set<String> {
            let judged = try await result(
                "PLC-ML-04",
                Work { run in
                    for way in ControllerWay.allCases {
                        var turnover = ParameterTurnover(all, seed: 1)
                        for _ in 0..<50 {
                            let before = turnover.entries
                            _ = try turnover.change()
                            look(&turnover, before)
                        }
                        turnover.note(run, way)
                        run.note("\(way.rawValue): memory growth", 0, .ratio)
                    }
                })
            #expect(judged.verdict == (failing(judged).isEmpty ? .pass : .fail))
            return failing(judged)
        }
        @Sendable func scan(_ turnover: ParameterTurnover, value: Double? = 1) -> Scan {
            let ids = turnover.entries.keys.sorted().map { ParameterID(rawValue: $0) }
            var readings = ids.map { Reading(parameter: $0, value: 1, quality: .good) }
            readings[0] = Reading(parameter: ids[0], value: value, quality: .good)
            return Scan(time: Timestamp(microseconds: 0), readings: readings)
        }
        #expect(try await judge { turnover, _ in turnover.judge(turnover.entries, isNew: true) } == [])
        #expect(try await judge { turnover, _ in turnover.judge(scan(turnover)) } == [])
        let kept = both("entries beyond those there are")
        #expect(
            try await judge { turnover, before in
                turnover.judge(turnover.entries.merging(before) { $1 }, isNew: true)
            } == kept)
        let unseen = both("unseen changes")
        #expect(try await judge { turnover, _ in turnover.judge(turnover.entries, isNew: false) } == unseen)
        #expect(
            try await judge { turnover, _ in
                turnover.judge(turnover.entries.filter { $0.key != turnover.entries.keys.max() }, isNew: true)
            } == unseen)
        #expect(try await judge { turnover, _ in turnover.judge(scan(turnover, value: nil)) } == unseen)
        // Somebody still sees what there was a moment ago.
        #expect(
            try await judge { turnover, before in turnover.judge(before, isNew: true) } == kept.union(unseen))
    }
}
