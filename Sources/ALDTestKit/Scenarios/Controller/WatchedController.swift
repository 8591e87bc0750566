import ALDCore
import Modbus

/// A simulated machine with set points under watch: some that its own program writes, so that also those who only read
/// see something change while they read it, some that all clients write, and one of its own for each writer.
struct WatchedController: Sendable {
    let map: RegisterMap
    private let writers: Int
    /// Written together, in one request that nobody sends but the machine itself.
    private let program: RegisterJudge
    /// Where the program's set points begin, one behind the other.
    private let start: UInt16
    /// What all writers write.
    private let shared: [RegisterJudge]
    /// By writer.
    private let own: [RegisterJudge]

    /// How many set points the program writes, and how many are shared where anybody writes.
    private static let (programmed, sharedCount) = (4, 2)
    private static let programPeriod = Duration.milliseconds(5)
    /// Between the generated machine and what is added to it: no request reaches over it, so that what is added is read
    /// in one.
    private static let gap = ModbusLimits.maximumReadRegisters

    private var judges: [RegisterJudge] { [program] + shared + own }
    /// Those that are read where they are written, and so are exact in a scan.
    private var scanned: [RegisterJudge] { [program] + shared }

    /// - Throws: ``ImpossibleLoad`` when the machine has too few set points.
    init(writers: Int, seed: UInt64) throws {
        let generated = try GeneratedMachine.registerMap(parameters: 100, seed: seed)
        let writable = generated.parameters.filter {
            $0.isWritable && $0.dataType == .float32 && $0.range.contains(NumberedValue.range.upperBound)
                && $0.range.contains(0)
        }
        guard writable.count >= writers else {
            throw ImpossibleLoad(description: "\(writers) writers, and the machine has \(writable.count) set points")
        }
        let last = generated.parameters.flatMap { [$0.readLocation, $0.writeLocation ?? $0.readLocation] }
            .filter { $0.table == .holdingRegisters }.map { Int($0.address) }.max()
        let start = UInt16((last ?? 0) + 2 + Self.gap)
        let added = Self.programmed + (writers > 0 ? Self.sharedCount : 0)
        let settings = (0..<added).map { number in
            let place = RegisterLocation(table: .holdingRegisters, address: start + UInt16(2 * number))
            return Parameter(
                id: ParameterID(rawValue: Int32(generated.parameters.count + number + 1)), component: "Supervisor",
                name: "target_\(number + 1)", range: NumberedValue.range, dataType: .float32, readLocation: place,
                writeLocation: place)
        }
        map = try RegisterMap(parameters: generated.parameters + settings, wordOrder: generated.wordOrder)
        program = RegisterJudge(settings.prefix(Self.programmed).map(\.id))
        shared = settings.dropFirst(Self.programmed).map { RegisterJudge([$0.id]) }
        own = writable.prefix(writers).map { RegisterJudge([$0.id]) }
        (self.writers, self.start) = (writers, start)
    }

    // MARK: What the machine does

    /// Everything under watch has its first value then.
    func prepare(_ device: SimulatedPLC, deadline: MonotonicInstant) async throws {
        for id in judges.flatMap(\.parameters) {
            try await device.write(NumberedValue.value(of: 0), to: id, deadline: deadline)
        }
    }

    /// The machine's own program: it changes its set points again and again.
    ///
    /// - Throws: `CancellationError` when it is cancelled; it ends in no other way.
    func runProgram(_ device: SimulatedPLC, time: any TimeSource) async throws {
        while true {
            try await program.write { value in
                let words = map.wordOrder.split(Float(value).bitPattern)
                let values = program.parameters.flatMap { _ in [words.0, words.1] }
                _ = try device.respond(to: .writeRegisters(start: start, values: values), unit: .one)
            }
            try await time.sleep(for: Self.programPeriod)
        }
    }

    /// The set points of which nobody should write one.
    func untouched(_ device: SimulatedPLC, deadline: MonotonicInstant) async throws -> [ParameterID: Double] {
        let watched = Set(judges.flatMap(\.parameters))
        return try await device.readSetPoints(deadline: deadline).filter { !watched.contains($0.key) }
    }

    /// Whether a client reads in one request what the program writes in one. Of several requests nobody promises that
    /// they see the same.
    func isReadTogether(by plc: any PLC) -> Bool {
        guard let plc = plc as? ModbusPLC else { return true }
        guard let range = AddressRange(start: start, count: 2 * Self.programmed) else { return false }
        return plc.plan.index(of: .holdingRegisters, range) != nil
    }

    // MARK: What the clients do

    /// One operation of a reader: all values, all set points, or one of them.
    func read(_ plc: any PLC, number: Int, scansOneOf share: Int, deadline: MonotonicInstant) async throws {
        switch number % share {
        case 0: try await scan(plc, deadline)
        case share / 2: try await readSetPoints(plc, deadline)
        default: try await readOne(plc, number / 2, deadline)
        }
    }

    private func scan(_ plc: any PLC, _ deadline: MonotonicInstant) async throws {
        let reads = scanned.map { ($0, $0.readBegins()) }
        let readings = try await plc.scan(deadline: deadline).readings
        let values = Dictionary(uniqueKeysWithValues: readings.map { ($0.parameter, $0.value) })
        guard readings.count == map.parameters.count, readings.allSatisfy({ $0.value != nil }) else {
            throw MissingValues(description: "\(readings.count { $0.value != nil }) of \(map.parameters.count) values")
        }
        for (judge, read) in reads { judge.ended(read, judge.parameters.compactMap { values[$0] ?? nil }) }
    }

    /// Those of the program may come from several requests here: each is judged by itself.
    private func readSetPoints(_ plc: any PLC, _ deadline: MonotonicInstant) async throws {
        let reads = judges.map { ($0, $0.readBegins()) }
        let values = try await plc.readSetPoints(deadline: deadline)
        for (judge, read) in reads {
            for id in judge.parameters {
                guard let value = values[id] else { throw MissingValues(description: "set point \(id) is missing") }
                judge.ended(read, [value])
            }
        }
    }

    private func readOne(_ plc: any PLC, _ turn: Int, _ deadline: MonotonicInstant) async throws {
        let all = judges.flatMap { judge in judge.parameters.map { (judge, $0) } }
        let (judge, id) = all[turn % all.count]
        let read = judge.readBegins()
        judge.ended(read, [try await plc.readSetPoint(of: id, deadline: deadline)])
    }

    /// One operation of a writer: to a set point of its own, or to one that the others write, too.
    func write(_ plc: any PLC, by writer: Int, number: Int, deadline: MonotonicInstant) async throws {
        let judge = number % 2 == 0 ? own[writer] : shared[number / 2 % shared.count]
        let id = judge.parameters[0]
        try await judge.write { value in try await plc.write(value, to: id, deadline: deadline) }
    }

    private struct MissingValues: Error, CustomStringConvertible {
        var description: String
    }

    // MARK: What it has come to

    func note(_ run: ScenarioRun, _ way: ControllerWay) {
        let problems = judges.flatMap(\.problems)
        for problem in problems.prefix(3) { run.say(problem) }
        run.note("\(way.rawValue): torn or stale values", count: problems.count)
        run.note("\(way.rawValue): different values of the machine's own", count: program.valuesRead)
        run.sometimes(
            "\(way.rawValue): each of those that are written is seen to change",
            judges.allSatisfy { $0.valuesRead > 1 })
        guard writers > 1 else { return }
        let overlapping = shared.reduce(0) { $0 + $1.overlappingWrites }
        run.note("\(way.rawValue): writes while another writes the same", count: overlapping)
        // In this process a write is over before the next one can begin, unless it is interrupted.
        if way == .wired { run.sometimes("\(way.rawValue): two write the same set point at once", overlapping > 0) }
    }
}
