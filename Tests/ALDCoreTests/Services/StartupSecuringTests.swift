import ALDTestKit
import Logging
import Modbus
import Testing

@testable import ALDCore

/// What an earlier process may have left open is closed while everything else still starts.
@Suite("Securing at the start", .timeLimit(.minutes(5))) struct StartupSecuringTests {
    let map: RegisterMap
    let valve: ParameterID
    let flow: ParameterID

    init() throws {
        let map = try RegisterMap(file: Repository.machine51)
        self.map = map
        valve = try map.parameter(named: "Valve 1.valve_state").id
        flow = try map.parameter(named: "MFC 1.flow").id
    }

    func withSecuring(
        on plc: some PLC, rival: String? = nil, _ body: @Sendable (StartupSecuring, RecipeJournal) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/recipe.json"
            let securing = try StartupSecuring(
                plc: plc, interlocks: Interlocks(safeState: [SetPoint(flow, 0)]), journal: path,
                rival: { rival },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try await body(securing, RecipeJournal(path: path))
        }
    }

    func setPoint(_ id: ParameterID, of plc: some PLC) async throws -> Double {
        try await plc.readSetPoint(of: id, deadline: SystemTime().now + .seconds(60))
    }

    @Test("The valve is closed and the rest is safe, and the journal is left for whoever tells of it")
    func closes() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await plc.write(1, to: valve, deadline: SystemTime().now + .seconds(60))
        try await plc.write(90, to: flow, deadline: SystemTime().now + .seconds(60))
        try await withSecuring(on: plc) { securing, journal in
            let entry = RecipeJournal.Entry(label: "process 7", valves: [valve])
            try journal.begin(entry)
            await securing.run()
            #expect(try await setPoint(valve, of: plc) == 0)
            #expect(try await setPoint(flow, of: plc) == 0)
            #expect(try journal.pending() == entry)
            // Nobody is kept waiting by what is over.
            await securing.leave(by: SystemTime().now)
        }
    }

    @Test("Somebody else runs the machine by now: nothing is written, whatever the journal says")
    func rival() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await plc.write(1, to: valve, deadline: SystemTime().now + .seconds(60))
        try await withSecuring(on: plc, rival: "terminal2 runs elsewhere") { securing, journal in
            try journal.begin(RecipeJournal.Entry(label: "process 7", valves: [valve]))
            await securing.run()
            #expect(try await setPoint(valve, of: plc) == 1)
        }
    }

    @Test("A valve that the register map has no more keeps nobody from closing the others")
    func unknownValve() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await plc.write(1, to: valve, deadline: SystemTime().now + .seconds(60))
        try await withSecuring(on: plc) { securing, journal in
            try journal.begin(RecipeJournal.Entry(label: "process 7", valves: [ParameterID(rawValue: 9999), valve]))
            await securing.run()
            #expect(try await setPoint(valve, of: plc) == 0)
        }
    }

    @Test("Nothing was left open: nothing is written")
    func nothingLeft() async throws {
        let plc = SimulatedPLC(map, seed: 1)
        try await plc.write(90, to: flow, deadline: SystemTime().now + .seconds(60))
        try await withSecuring(on: plc) { securing, journal in
            let entry = RecipeJournal.Entry(label: "process 7", valves: [valve])
            try journal.begin(entry)
            try journal.end(entry)
            await securing.run()
            #expect(try await setPoint(flow, of: plc) == 90)
        }
    }

    @Test(
        "The controller is away: it ends when it is told to, before it has begun and after", arguments: [true, false])
    func leaves(before: Bool) async throws {
        let nobody = try ListeningSocket(accepts: false)
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: nobody.port))
        let plc = try ModbusPLC(map, client: client)
        try await withSecuring(on: plc) { securing, journal in
            try journal.begin(RecipeJournal.Entry(label: "process 7", valves: [valve]))
            await withTaskGroup(of: Void.self) { group in
                if before {
                    group.addTask { await securing.leave(by: SystemTime().now) }
                    group.addTask { await securing.run() }
                } else {
                    group.addTask { await securing.run() }
                    group.addTask { await securing.leave(by: SystemTime().now + .milliseconds(300)) }
                }
            }
            #expect(try journal.pending()?.label == "process 7")
        }
        await client.close()
        withExtendedLifetime(nobody) {}
    }
}
