import ALDTestKit
import Foundation
import Logging
import Modbus
import Synchronization
import Testing

@testable import ALDCore

/// Recipes on the simulated machine, in real time: what the machine's own outputs are is what counts.
@Suite("Running recipes", .timeLimit(.minutes(5))) struct RecipeRunnerTests {
    let map: RegisterMap
    let valves: [ParameterID]
    let flow: ParameterID
    let interlocks: Interlocks

    init() throws {
        let map = try RegisterMap(file: Repository.machine51)
        self.map = map
        valves = try (1...4).map { try map.parameter(named: "Valve \($0).valve_state").id }
        flow = try map.parameter(named: "MFC 1.flow").id
        interlocks = Interlocks(
            exclusiveGroups: [Set(valves)], safeState: valves.map { SetPoint($0, 0) } + [SetPoint(flow, 0)])
    }

    /// A runner on `plc` with a journal in a directory of its own.
    func withRunner<Result>(
        on plc: some PLC, configuration: RecipeMachine.Configuration = .init(),
        _ body: (RecipeRunner, RecipeJournal) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { directory in
            let journal = RecipeJournal(path: directory + "/recipe.json")
            // Beside many other tests a process may stand still for a while.
            var configuration = configuration
            configuration.longestOverrun = .seconds(30)
            configuration.longestStandstill = max(configuration.longestStandstill, .seconds(60))
            let runner = try RecipeRunner(
                plc: plc, interlocks: interlocks, journal: journal, configuration: configuration,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            return try await body(runner, journal)
        }
    }

    func setPoint(_ id: ParameterID, of plc: some PLC) async throws -> Double {
        try await plc.readSetPoint(of: id, deadline: SystemTime().now + .seconds(60))
    }

    func recipe(_ kinds: RecipeStep.Kind...) -> Recipe {
        Recipe(name: "test", steps: kinds.enumerated().map { RecipeStep(id: Int32($0.offset + 1), $0.element) })
    }

    /// Waits until the machine shows this value at an output.
    func arrives(_ value: Double, at id: ParameterID, of plc: some PLC) async throws {
        try await eventually("parameter \(id) is \(value)") { try await self.setPoint(id, of: plc) == value }
    }

    @Test("A recipe runs to its end: no pulse is short, everything is closed, and the journal is gone")
    func completes() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        let records = Mutex<[RecipeMachine.Record]>([])
        let recipe = recipe(
            .loop(
                iterations: 5,
                [
                    RecipeStep(id: 11, .valve(valves[0], open: .milliseconds(3))),
                    RecipeStep(id: 12, .purge(gas: "N2", for: .milliseconds(2), flow: SetPoint(flow, 80))),
                    RecipeStep(id: 13, .valve(valves[1], open: .milliseconds(4))),
                ]))
        try await withRunner(on: plc) { runner, journal in
            let ending = try await runner.run(recipe, label: "test") { new, _ in records.withLock { $0 += new } }
            #expect(ending == RecipeMachine.Ending(outcome: .completed))
            #expect(try journal.pending() == nil)
            #expect(runner.progress == nil)
        }
        let pulses = records.withLock { records in
            records.compactMap { record -> (Duration, Duration)? in
                guard case .pulse(_, let programmed, let opened, let closed, _) = record else { return nil }
                return (programmed, closed - opened)
            }
        }
        #expect(pulses.count == 10)
        #expect(pulses.allSatisfy { $0.1 >= $0.0 })
        for valve in valves { #expect(try await setPoint(valve, of: plc) == 0) }
        #expect(try await setPoint(flow, of: plc) == 80)
    }

    @Test("Stopped while a valve is open: it is closed, and the flow is off")
    func stopped() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        let recipe = recipe(
            .purge(gas: "N2", for: .milliseconds(1), flow: SetPoint(flow, 80)), .valve(valves[2], open: .seconds(50)))
        try await withRunner(on: plc) { runner, journal in
            async let ending = runner.run(recipe, label: "test") { _, _ in }
            try await arrives(1, at: valves[2], of: plc)
            #expect(try journal.pending() == RecipeJournal.Entry(label: "test", valves: [valves[2]]))
            runner.tell(.stop("operator"))
            #expect(try await ending == RecipeMachine.Ending(outcome: .aborted("operator")))
            #expect(try journal.pending() == nil)
        }
        #expect(try await setPoint(valves[2], of: plc) == 0)
        #expect(try await setPoint(flow, of: plc) == 0)
    }

    @Test("Cancelled with its task: the machine is made safe before the call returns")
    func cancelled() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        let recipe = recipe(.valve(valves[0], open: .seconds(50)))
        try await withRunner(on: plc) { runner, _ in
            let ending = try await withThrowingTaskGroup(of: RecipeMachine.Ending.self) { group in
                group.addTask { try await runner.run(recipe, label: "test") { _, _ in } }
                try await arrives(1, at: valves[0], of: plc)
                group.cancelAll()
                return try await group.next()
            }
            #expect(ending == RecipeMachine.Ending(outcome: .aborted("the recipe service was shut down")))
        }
        #expect(try await setPoint(valves[0], of: plc) == 0)
    }

    @Test("The controller answers no more while a valve is open, and again later: the valve is closed then")
    func lostController() async throws {
        let machine = SimulatedPLC(map, seed: 1)
        let server = machine.makeServer(behavior: DeviceBehavior(faults: FaultInjector()))
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
        let plc = try ModbusPLC(map, client: client)
        let recipe = recipe(.valve(valves[0], open: .seconds(50)))
        // A machine that is busy with other tests is no controller that is away: it has two seconds for an answer.
        var configuration = RecipeMachine.Configuration()
        (configuration.probeInterval, configuration.callTimeout) = (.milliseconds(20), .seconds(2))
        (configuration.longestSilence, configuration.securingInterval) = (
            .seconds(6), .milliseconds(20)...(.milliseconds(50))
        )
        try await withRunner(on: plc, configuration: configuration) { runner, _ in
            async let ending = runner.run(recipe, label: "test") { _, _ in }
            try await arrives(1, at: valves[0], of: machine)
            await server.strike(.freeze(.seconds(9)))
            let outcome = try await ending.outcome
            guard case .failed(let reason) = outcome else { Issue.record("\(outcome)"); return }
            #expect(reason.hasPrefix("the controller has not answered for "))
            #expect(try await setPoint(valves[0], of: machine) == 0)
        }
        await client.close()
        await server.stop()
    }

    @Test("A journal that cannot say that all is closed is caught up on before the next run")
    func journalAwayAtTheEnd() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await withTemporaryDirectory { directory in
            let (place, away) = (directory + "/journals", directory + "/away")
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
            let journal = RecipeJournal(path: place + "/recipe.json")
            let runner = try RecipeRunner(
                plc: plc, interlocks: interlocks, journal: journal,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            async let ending = runner.run(recipe(.valve(valves[0], open: .seconds(50))), label: "one") { _, _ in }
            try await arrives(1, at: valves[0], of: plc)
            try FileManager.default.moveItem(atPath: place, toPath: away)
            runner.tell(.stop("operator"))
            #expect(try await ending.outcome == .aborted("operator"))
            await #expect {
                try await runner.run(recipe(.wait(.milliseconds(1))), label: "two") { _, _ in }
            } throws: { error in
                if case RecipeRunner.Refusal.journal = error { true } else { false }
            }
            try FileManager.default.moveItem(atPath: away, toPath: place)
            #expect(try journal.pending()?.label == "one")
            let next = try await runner.run(recipe(.wait(.milliseconds(1))), label: "three") { _, _ in }
            #expect(next.outcome == .completed)
            #expect(try journal.lastEnded() == "three")
        }
    }

    @Test("Somebody stops a run while the controller is asked for a sign of life: the question is given up")
    func stopDuringProbe() async throws {
        let machine = SimulatedPLC(map, seed: 1)
        let plc = DeafPLC(machine)
        var configuration = RecipeMachine.Configuration()
        configuration.probeInterval = .milliseconds(20)
        // Nobody waits so long for what nobody needs.
        (configuration.callTimeout, configuration.longestSilence) = (.seconds(600), .seconds(3000))
        configuration.longestStandstill = .seconds(3000)
        try await withRunner(on: plc, configuration: configuration) { runner, _ in
            async let ending = runner.run(recipe(.wait(.seconds(50_000))), label: "test") { _, _ in }
            try await eventually("it is asked") { plc.isAsked }
            runner.tell(.stop("operator"))
            #expect(try await ending.outcome == .aborted("operator"))
        }
    }

    @Test("After a crash no recipe runs until what may be open is closed")
    func crash() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await plc.write(1, to: valves[3], deadline: SystemTime().now + .seconds(60))
        try await plc.write(90, to: flow, deadline: SystemTime().now + .seconds(60))
        try await withRunner(on: plc) { runner, journal in
            try journal.begin(RecipeJournal.Entry(label: "process 7", valves: [valves[0], valves[3]]))
            await #expect(throws: RecipeRunner.Refusal.unsecured([SetPoint(valves[0], 0), SetPoint(valves[3], 0)])) {
                try await runner.run(recipe(.wait(.milliseconds(1))), label: "next") { _, _ in }
            }
            #expect(try await runner.recover(by: SystemTime().now + .seconds(60))?.label == "process 7")
            #expect(try await setPoint(valves[3], of: plc) == 0)
            #expect(try await setPoint(flow, of: plc) == 0)
            #expect(try await runner.recover(by: SystemTime().now + .seconds(60)) == nil)
            let ending = try await runner.run(recipe(.wait(.milliseconds(1))), label: "next") { _, _ in }
            #expect(ending.outcome == .completed)
        }
    }

    @Test("A run that was begun elsewhere is closed once, told of, and not again after that")
    func leftElsewhere() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        let entry = RecipeJournal.Entry(label: "process 9", valves: [valves[1]], process: 9)
        try await withRunner(on: plc) { runner, journal in
            try await plc.write(1, to: valves[1], deadline: SystemTime().now + .seconds(60))
            let records = Mutex<[RecipeMachine.Record]>([])
            let first = try await runner.recover(entry, by: SystemTime().now + .seconds(60)) { new, _ in
                records.withLock { $0 += new }
            }
            #expect(first == entry)
            #expect(try await setPoint(valves[1], of: plc) == 0)
            let secured = records.withLock(\.self).compactMap { record -> SetPoint? in
                if case .secured(let point, _) = record { point } else { nil }
            }
            #expect(secured.first == SetPoint(valves[1], 0) && secured.last == SetPoint(flow, 0))
            // Somebody else's business by now.
            try await plc.write(1, to: valves[1], deadline: SystemTime().now + .seconds(60))
            #expect(try await runner.recover(entry, by: SystemTime().now + .seconds(60)) { _, _ in } == nil)
            #expect(try await setPoint(valves[1], of: plc) == 1)
            try journal.begin(RecipeJournal.Entry(label: "process 10", valves: [valves[0]]))
            await #expect(throws: RecipeRunner.Refusal.unsecured([SetPoint(valves[0], 0)])) {
                _ = try await runner.recover(entry, by: SystemTime().now + .seconds(60)) { _, _ in }
            }
        }
    }

    @Test("A controller that does not answer keeps the journal: nothing is forgotten")
    func crashWithoutController() async throws {
        let nobody = try ListeningSocket(accepts: false)
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: nobody.port))
        let plc = try ModbusPLC(map, client: client)
        try await withRunner(on: plc) { runner, journal in
            try journal.begin(RecipeJournal.Entry(label: "process 7", valves: [valves[0]]))
            await #expect(throws: RecipeRunner.Refusal.self) {
                try await runner.recover(by: SystemTime().now + .milliseconds(300))
            }
            #expect(try journal.pending()?.label == "process 7")
            try journal.end(RecipeJournal.Entry(label: "process 7", valves: [valves[0]]))
            #expect(try journal.pending() == nil)
            #expect(try journal.lastEnded() == "process 7")
            await #expect {
                try await runner.run(recipe(.wait(.milliseconds(1))), label: "next") { _, _ in }
            } throws: { error in
                if case RecipeRunner.Refusal.controller = error { true } else { false }
            }
        }
        await client.close()
        withExtendedLifetime(nobody) {}
    }

    @Test("An interlocked valve that is open already, an unsound recipe and a second recipe are refused, unwritten")
    func refusals() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await withRunner(on: plc) { runner, _ in
            try await plc.write(1, to: valves[1], deadline: SystemTime().now + .seconds(60))
            await #expect(throws: RecipeRunner.Refusal.open([valves[1]])) {
                try await runner.run(recipe(.valve(valves[0], open: .seconds(1))), label: "a") { _, _ in }
            }
            #expect(try await setPoint(valves[0], of: plc) == 0)
            try await plc.write(0, to: valves[1], deadline: SystemTime().now + .seconds(60))
            let problem = RecipeRules.Problem(step: 1, message: "the loop is empty")
            await #expect(throws: RecipeRunner.Refusal.unsound([problem])) {
                try await runner.run(recipe(.loop(iterations: 1, [])), label: "b") { _, _ in }
            }
            async let ending = runner.run(recipe(.valve(valves[0], open: .seconds(50))), label: "c") { _, _ in }
            try await arrives(1, at: valves[0], of: plc)
            await #expect(throws: RecipeRunner.Refusal.busy) {
                try await runner.run(recipe(.wait(.milliseconds(1))), label: "d") { _, _ in }
            }
            runner.tell(.stop("operator"))
            _ = try await ending
        }
    }

    @Test("A journal that cannot be written or read refuses every run")
    func unusableJournal() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await withTemporaryDirectory { directory in
            func runner(_ path: String) throws -> RecipeRunner {
                try RecipeRunner(
                    plc: plc, interlocks: interlocks, journal: RecipeJournal(path: path),
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            }
            func isRefused(_ path: String) async {
                await #expect {
                    try await runner(path).run(recipe(.valve(valves[0], open: .seconds(1))), label: "a") { _, _ in }
                } throws: { error in
                    if case RecipeRunner.Refusal.journal = error { true } else { false }
                }
            }
            await isRefused(directory + "/missing/recipe.json")
            try DurableFile(path: directory + "/torn.json").replace(by: .init("{\"version\":".utf8))
            await isRefused(directory + "/torn.json")
            #expect(try await setPoint(valves[0], of: plc) == 0)
        }
    }
}

/// A machine that never answers who asks for a single set point, until he gives up.
private final class DeafPLC: PLC {
    private let machine: SimulatedPLC
    private let asked = Mutex(false)

    init(_ machine: SimulatedPLC) {
        self.machine = machine
    }

    var isAsked: Bool { asked.withLock(\.self) }
    var registerMap: RegisterMap { machine.registerMap }

    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan { try await machine.scan(deadline: deadline) }

    func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        asked.withLock { $0 = true }
        await Wakeup().wait(until: deadline, time: SystemTime())
        throw .unreachable("no answer")
    }

    func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        try await machine.write(value, to: parameter, deadline: deadline)
    }
}
