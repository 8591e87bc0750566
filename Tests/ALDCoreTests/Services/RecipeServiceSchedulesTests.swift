import ALDTestKit
import Synchronization
import Testing

@testable import ALDCore

extension ServiceServerTests {
    /// Terminals 2 and 3, each with its own way to one machine and one database: random recipes on a line that is bad by
    /// chance, stopped, paused and disturbed by commands that open and close the same valves. Judged by what the machine
    /// itself was made to do.
    @Suite struct RecipeServiceSchedules {
        typealias Plant = RecipePlant
        private static let valves = (1...6).map { Plant.valve($0) }

        @Test("No two exclusive valves are open together, and none that a recipe opened stays open")
        func noTwoOpenAndNoneStaysOpen() async throws {
            let seed = TestSeed.draw()
            let log = WriteLog()
            let map = try RegisterMap(file: Repository.machine51)
            let machine = SimulatedPLC(map, seed: seed) { log.add($0, $1) }
            let line = BadLine(machine, "recipe", faults: 0.02, seed: seed)
            try await Plant.with(prepare: { _, _, _, _ in Plant.Setting(plc: line, machine: machine) }) { plant in
                let pool = try ConnectionPool(configuration: plant.database, logger: TestDatabase.quiet)
                let commands = try ParameterControlService(
                    plc: InterlockedPLC(
                        BadLine(machine, "command", faults: 0, seed: seed + 1), interlocks: Plant.interlocks(map)),
                    pool: pool, machine: 1, logger: TestDatabase.quiet)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await pool.run() }
                    try await withThrowingTaskGroup(of: Void.self) { serving in
                        serving.addTask { try await commands.run() }
                        try await eventually("the bells work") {
                            plant.service.status.hearsBell && commands.statistics.hearsBell
                        }
                        var random = SeededGenerator(seed: seed)
                        for number in 0..<Gate.rounds(20, nominal: 500) {
                            try await Self.story(number, plant, log, &random)
                            if let problem = log.problem(among: Set(Self.valves)) {
                                Issue.record("seed \(seed), story \(number): \(problem)")
                                break
                            }
                            try await Self.tidy(plant, log)
                        }
                        serving.cancelAll()
                    }
                    group.cancelAll()
                }
                let status = plant.service.status
                #expect(status.started > 0 && commands.statistics.succeeded > 0, "\(status)")
                #expect(log.writers == ["recipe", "command"], "both have had a hand in it")
            }
        }

        private static func story(
            _ number: Int, _ plant: RecipePlant, _ log: WriteLog, _ random: inout SeededGenerator
        ) async throws {
            var steps: Int32 = 0
            let recipe = Recipe(name: "random \(number)", steps: Self.steps(depth: 0, &steps, &random))
            let start = try await plant.start(recipe)
            let ended = "SELECT finished_at IS NOT NULL AS ended FROM ald.recipe_commands WHERE command_id = \(start)"
            // Before, while or after it begins, and then as it goes on.
            var next = Bool.random(using: &random) ? log.count : log.count + 1
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                try await eventually("\(next) writes, or the end of recipe \(number)") {
                    if log.count >= next || plant.service.status.phase == .paused { return true }
                    return try await plant.operating.rows(ended) == ["true"]
                }
                next = log.count + Int.random(in: 0...4, using: &random)
                let process = plant.service.status.process
                switch Int.random(in: 0..<8, using: &random) {
                case 0: if let process { try await askForIt { _ = try await plant.ask("stop", process) } }
                case 1: if let process { try await askForIt { _ = try await plant.ask("pause", process) } }
                default:
                    let valve = valves[Int.random(in: 0..<valves.count, using: &random)]
                    try await set(valve, Int.random(in: 0..<3, using: &random) == 0 ? 0 : 1, plant)
                }
            }
            try await eventually("recipe \(number) has ended: \(plant.service.status)") {
                if plant.service.status.phase == .paused, let process = plant.service.status.process {
                    try await askForIt { _ = try await plant.ask("resume", process) }
                }
                return try await plant.operating.rows(ended) == ["true"]
            }
        }

        /// What commands have left open is closed, and the machine is idle again.
        private static func tidy(_ plant: RecipePlant, _ log: WriteLog) async throws {
            try await commandsHaveEnded(plant)
            for valve in log.open.keys.sorted() { try await set(valve, 0, plant) }
            try await commandsHaveEnded(plant)
            try await eventually("nothing is under way") {
                try await plant.operating.rows("SELECT status FROM ald.machine_state") != ["processing"]
            }
            try await plant.operating.accept(
                "UPDATE ald.machine_state SET status = 'idle', failure = NULL WHERE status = 'error'")
        }

        private static func commandsHaveEnded(_ plant: RecipePlant) async throws {
            try await eventually("all commands have ended") {
                try await plant.operating.rows(
                    "SELECT count(*) FROM ald.parameter_control_commands WHERE finished_at IS NULL") == ["0"]
            }
        }

        private static func set(_ valve: ParameterID, _ value: Int, _ plant: RecipePlant) async throws {
            try await askForIt {
                _ = try await plant.operating.rows(
                    "SELECT ald.request_parameter_command(1, gen_random_uuid(), \(valve), \(value), 600, 'o', 'r')")
            }
        }

        /// The database may say no.
        private static func askForIt(_ body: () async throws -> Void) async throws {
            do {
                try await body()
            } catch let error as PostgresError where error.sqlState == .checkViolation {
                return
            }
        }

        private static func steps(
            depth: Int, _ number: inout Int32, _ random: inout SeededGenerator
        ) -> [RecipeStep] {
            (0..<Int.random(in: 2...5, using: &random)).map { _ in
                number += 1
                let id = number
                func time() -> Duration { .milliseconds(Int64.random(in: 1...15, using: &random)) }
                switch Int.random(in: 0..<(depth < 2 ? 7 : 6), using: &random) {
                case 0...3:
                    return RecipeStep(
                        id: id, .valve(valves[Int.random(in: 0..<valves.count, using: &random)], open: time()))
                case 4: return RecipeStep(id: id, .purge(gas: "N2", for: time(), flow: SetPoint(Plant.flow, 80)))
                case 5: return RecipeStep(id: id, .wait(time()))
                default:
                    return RecipeStep(
                        id: id,
                        .loop(
                            iterations: Int.random(in: 2...5, using: &random), steps(depth: depth + 1, &number, &random)
                        ))
                }
            }
        }
    }
}

/// What the machine was made to do, in the order in which it did it, and by whom.
private final class WriteLog: Sendable {
    @TaskLocal static var writer = "nobody"

    private struct Entry {
        var writer: String
        var parameter: ParameterID
        var value: Double
    }

    private let entries = Mutex<[Entry]>([])

    func add(_ parameter: ParameterID, _ value: Double) {
        let entry = Entry(writer: Self.writer, parameter: parameter, value: value)
        entries.withLock { $0.append(entry) }
    }

    var count: Int { entries.withLock(\.count) }

    var writers: Set<String> { entries.withLock { Set($0.map(\.writer)) } }

    /// Binary outputs that are on now, and who has switched them on.
    var open: [ParameterID: String] {
        entries.withLock { entries in
            entries.reduce(into: [:]) { $0[$1.parameter] = $1.value == 1 ? $1.writer : nil }
        }
    }

    func problem(among valves: Set<ParameterID>) -> String? {
        entries.withLock { entries in
            var open: [ParameterID: String] = [:]
            for (index, entry) in entries.enumerated() where valves.contains(entry.parameter) {
                open[entry.parameter] = entry.value == 0 ? nil : entry.writer
                if open.count > 1 { return "write \(index): \(open) are open together" }
            }
            return open.first { $0.value == "recipe" }.map { "\($0.key) stays open, and a recipe has opened it" }
        }
    }
}

/// The way of one terminal to the machine: other tasks get a turn, and now and then a call goes wrong.
private final class BadLine: PLC {
    private let machine: SimulatedPLC
    private let writer: String
    private let faults: Double
    private let random: Mutex<SeededGenerator>

    init(_ machine: SimulatedPLC, _ writer: String, faults: Double, seed: UInt64) {
        (self.machine, self.writer, self.faults) = (machine, writer, faults)
        random = Mutex(SeededGenerator(seed: seed))
    }

    var registerMap: RegisterMap { machine.registerMap }

    private func draw() async -> Int? {
        let (turns, fault) = random.withLock { random in
            (
                Int.random(in: 0...3, using: &random),
                Double.random(in: 0..<1, using: &random) < faults ? Int.random(in: 0...3, using: &random) : nil
            )
        }
        for _ in 0..<turns { await Task.yield() }
        return fault
    }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        try await machine.scan(deadline: deadline)
    }

    func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        if await draw() != nil { throw .unreachable("by chance") }
        return try await machine.readSetPoint(of: parameter, deadline: deadline)
    }

    func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        let fault = await draw()
        switch fault {
        case 0: throw .unreachable("by chance")
        case 1: throw .refused("by chance")
        case 2: throw .unknownOutcome("not executed")
        default: break
        }
        let outcome = await WriteLog.$writer.withValue(writer) { () async -> Result<Void, PLCError> in
            do throws(PLCError) {
                try await machine.write(value, to: parameter, deadline: deadline)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try outcome.get()
        if fault != nil { throw .unknownOutcome("executed") }
    }
}
