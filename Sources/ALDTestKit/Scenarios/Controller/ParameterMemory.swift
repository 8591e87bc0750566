import ALDCore
import Modbus

/// What parameters take of memory once they are loaded and have been read: a register map, the plan that reads it over
/// Modbus TCP, and a simulated machine with a value for each.
struct ParameterMemory: Sendable {
    /// So many parameters at a time, in as many machines as it takes: what a single small one allocates is lost in what
    /// the process allocates besides.
    private static let together = 1000
    private static let rounds = 3

    /// Bytes of one machine, by its parameters.
    private var bytes: [Int: [Int]] = [:]

    // MARK: Measuring

    /// The numbers of parameters that are compared, up to `most`; with fewer than eight there is nothing to compare.
    static func counts(upTo most: Int) -> [Int] { most < 8 ? [] : [most / 8, most / 4, most / 2, most] }

    /// - Returns: `nil` where the C library does not tell what is allocated.
    static func measure(upTo most: Int, _ run: ScenarioRun) async throws -> ParameterMemory? {
        guard ProcessProbe.heapBytes != nil else { return nil }
        // It never connects: plans are made without a machine.
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: 1), logger: TestDatabase.quiet)
        return try await withCleanup {
            var memory = ParameterMemory()
            // The first round fills what is made once, and is not counted.
            for round in 0...rounds {
                for count in counts(upTo: most) {
                    let bytes = try await load(count, client, run)
                    if round > 0, let bytes { memory.add(bytes, parameters: count) }
                }
            }
            return memory
        } cleanup: {
            await client.close()
        }
    }

    /// - Returns: what one machine of this size has allocated.
    private static func load(_ parameters: Int, _ client: ModbusClient, _ run: ScenarioRun) async throws -> Int? {
        let machines = max(1, together / parameters)
        guard let before = ProcessProbe.heapBytes else { return nil }
        var loaded: [(SimulatedPLC, ModbusPLC, Scan)] = []
        for machine in 0..<machines {
            let map = try GeneratedMachine.registerMap(parameters: parameters, seed: run.seed &+ UInt64(machine))
            let device = SimulatedPLC(map, seed: run.seed)
            let scan = try await device.scan(deadline: run.patience)
            loaded.append((device, try ModbusPLC(map, client: client), scan))
        }
        let after = ProcessProbe.heapBytes
        return withExtendedLifetime(loaded) { after.map { max(0, $0 - before) / machines } }
    }

    // MARK: Judging

    mutating func add(_ bytes: Int, parameters: Int) { self.bytes[parameters, default: []].append(bytes) }

    /// The medians, smallest machine first: whatever else the process does meets one look alone.
    private var points: [Series.Point] {
        bytes.sorted { $0.key < $1.key }.map { parameters, bytes in
            Series.Point(at: Double(parameters), value: Double(bytes.sorted()[bytes.count / 2]))
        }
    }

    /// Bytes that one parameter more takes; `nil` for fewer than three numbers of parameters.
    var perParameter: Double? { RobustSlope.of(points) }

    /// What one more takes between the two largest numbers, by what it takes between the two smallest: 1 when memory is
    /// proportional to parameters, 4 with ``counts(upTo:)`` when it is to their square; `nil` for fewer than three.
    var bend: Double? {
        let points = points
        guard points.count >= 3 else { return nil }
        func slope(_ first: Series.Point, _ second: Series.Point) -> Double {
            (second.value - first.value) / (second.at - first.at)
        }
        let few = slope(points[0], points[1])
        // Where nothing is allocated that can be seen, as under a sanitizer, nothing is known.
        return few > 0 ? slope(points[points.count - 2], points[points.count - 1]) / few : nil
    }

    func note(_ run: ScenarioRun) {
        for point in points { run.note("memory of \(Int(point.at)) parameters", point.value, .bytes) }
        if let perParameter { run.note("memory per parameter", perParameter, .bytes) }
        if let bend { run.note("memory bend", bend, .ratio) }
    }
}
