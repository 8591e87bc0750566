import ALDCore
import ArgumentParser
import Modbus

struct ModbusScanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan",
        abstract: "Find out what a device is and what it can take.",
        discussion: """
            Looks for unit numbers that answer, what the device says about itself,
            where each table begins and ends, the largest block one read may have, and
            how many connections the device accepts (it tries up to 20). It only ever
            reads, one request at a time, and gives up after --within.

            EXAMPLES
              ald modbus scan --host 10.0.0.5
              ald modbus scan --host 10.0.0.5 --units 1-247 --timeout 200ms
              ald modbus scan --host 10.0.0.5 --address 2000
                when the device has nothing at 0, 1, 100, 1000, 2000 …
              ald modbus scan --host 10.0.0.5 --units 1-247 --framing rtu
                serial devices behind a simple gateway
              ald modbus scan --host 10.0.0.5 --connections 0 --json
                leaves the device's connections alone

            A table's end is looked for by halving: where a table has holes, the
            first run of addresses that was found is reported.

            EXIT STATUS
              0   something answered      1   nothing did      64  wrong arguments
            """)

    @Option(help: ArgumentHelp("Units to look for, for instance 1-10.", valueName: "range"))
    var units = UnitRange(1...10)

    @Option(help: ArgumentHelp("An address that the device is known to have.", valueName: "address"))
    var address: Address?

    @Option(help: ArgumentHelp("Connections to try at most, 0 to 20.", valueName: "number"))
    var connections = 20

    @Option(help: ArgumentHelp("The longest the whole scan may take.", valueName: "duration"))
    var within = DurationArgument(.seconds(120), "2m")

    @Flag(help: "Write the findings as one JSON object.")
    var json = false

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        guard (0...20).contains(connections) else {
            throw ValidationError("--connections is \(connections); allowed are 0 to 20")
        }
        if let problem = device.framing.problem(ofUnit: units.range.lowerBound) { throw ValidationError(problem) }
    }

    func run() async throws {
        try await reportingFailures {
            let isShown = !json && StandardStream.error.isTerminal
            let findings = try await cancelledBySignals {
                var scan = DeviceScan(
                    device: device, units: units.range, candidates: address.map { [$0.number] },
                    connections: connections, deadline: SystemTime().now + within.duration
                ) { step in
                    if isShown { StandardStream.error.write("\r\u{1B}[K\(step) …") }
                }
                return try await scan.run()
            }
            if isShown {
                StandardStream.error.write("\r\u{1B}[K")
                StandardStream.error.flush()
            }
            if json {
                try LineOutput.write(json: findings)
            } else {
                for line in findings.lines { try LineOutput.write(line) }
            }
            if findings.units.isEmpty { throw ExitCode(1) }
        }
    }
}

/// Units as people type them: 1-10, or 7.
struct UnitRange: ExpressibleByArgument {
    var range: ClosedRange<UInt8>

    init(_ range: ClosedRange<UInt8>) {
        self.range = range
    }

    init?(argument: String) {
        let ends = argument.split(separator: "-", omittingEmptySubsequences: false).map { UInt8($0) }
        guard let first = ends.first, let lower = first, let last = ends.last, let upper = last, ends.count <= 2,
            lower <= upper
        else { return nil }
        range = lower...upper
    }

    var defaultValueDescription: String { "\(range.lowerBound)-\(range.upperBound)" }
}
