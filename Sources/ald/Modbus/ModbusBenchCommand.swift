import ALDCore
import ArgumentParser
import Modbus

struct ModbusBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure how fast a device answers reads.",
        discussion: """
            Reads the same block again and again, as fast as the device answers, and
            reports requests per second and how long they took. Only ever reads.

            EXAMPLES
              ald modbus bench --host 10.0.0.5 --seconds 5
              ald modbus bench --host 10.0.0.5 --registers 1 --window 4
              ald modbus bench --port 1502 --connections 4 --json

            With --api plan each call hands over many reads at once, which is the
            fastest the library can do; its rate is measured in the first three
            quarters of the time, and the latencies in the last by calls of one read,
            as many at a time as the window allows. With --api single, calls of one
            read give both. A window above 1 is only for devices that can queue.

            EXIT STATUS
              0   every request was answered with data      1   some were not
              64  wrong arguments
            """)

    enum API: String, CaseIterable, ExpressibleByArgument { case plan, single }

    @Option(help: "What to read.")
    var table = TableName.holding

    @Option(help: ArgumentHelp("The block's first address.", valueName: "address"))
    var address = Address(0)

    @Option(help: ArgumentHelp("Registers (or bits) per request.", valueName: "number"))
    var registers = 125

    @Option(help: ArgumentHelp("Unanswered requests at a time, 1 to 16.", valueName: "number"))
    var window = 1

    @Option(help: ArgumentHelp("Connections at a time, 1 to 64.", valueName: "number"))
    var connections = 1

    @Option(help: ArgumentHelp("How long to measure.", valueName: "number"))
    var seconds = 5.0

    @Option(help: "How to call the library.")
    var api = API.plan

    @Flag(help: "Write the result as one JSON object.")
    var json = false

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        guard (1...table.table.maximumReadCount).contains(registers) else {
            throw ValidationError("--registers is \(registers); allowed are 1 to \(table.table.maximumReadCount)")
        }
        guard AddressRange(start: address.number, count: registers) != nil else {
            throw ValidationError("\(registers) from address \(address.number) would run past 65535")
        }
        guard (1...16).contains(window) else { throw ValidationError("--window is \(window); allowed are 1 to 16") }
        if device.framing == .rtu, window > 1 {
            throw ValidationError("--window is \(window); with --framing rtu one request is on its way at a time")
        }
        guard (1...64).contains(connections) else {
            throw ValidationError("--connections is \(connections); allowed are 1 to 64")
        }
        guard seconds >= 0.1, seconds <= 86_400 else {
            throw ValidationError("--seconds is \(seconds); allowed are 0.1 to 86400")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let result = try await cancelledBySignals { try await measure() }
            StandardStream.error.flush()
            if json {
                try LineOutput.write(json: BenchReport(result, command: self))
            } else {
                for line in BenchReport(result, command: self).lines { try LineOutput.write(line) }
            }
            if let first = result.firstError { StandardStream.error.write("ald: \(first)\n") }
            if result.errors > 0 || result.requests == 0 { throw ExitCode(1) }
        }
    }

    private func measure() async throws -> BenchResult {
        guard let range = AddressRange(start: address.number, count: registers) else { return BenchResult() }
        let load = BenchLoad(table: table.table, block: range, window: window, device: device)
        return try await withThrowingTaskGroup(of: BenchResult?.self) { group in
            let total = Duration.seconds(seconds)
            let rate = api == .plan ? total * 0.75 : .zero
            for _ in 0..<connections {
                group.addTask { try await load.run(plansFor: rate, readsFor: total - rate) }
            }
            if !json, StandardStream.error.isTerminal { group.addTask { await Self.progress(total) } }
            var sum = BenchResult()
            var running = connections
            while let part = try await group.next() {
                guard let part else { continue }
                sum.add(part)
                running -= 1
                if running == 0 { group.cancelAll() }
            }
            return sum
        }
    }

    private static func progress(_ total: Duration) async -> BenchResult? {
        let time = SystemTime()
        let started = time.now
        do {
            while true {
                let past = time.now - started
                StandardStream.error.write(
                    "\r\u{1B}[K\(StatusReport.seconds(min(past, total))) of \(StatusReport.seconds(total))")
                try await time.sleep(for: .milliseconds(250))
            }
        } catch {
            StandardStream.error.write("\r\u{1B}[K")
            return nil
        }
    }
}
