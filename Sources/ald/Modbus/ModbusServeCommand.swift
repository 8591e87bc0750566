import ALDCore
import ArgumentParser
import Modbus
import UnixSignals

struct ModbusServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Be a Modbus TCP device with four tables.",
        discussion: """
            Serves coils, discrete inputs, input and holding registers until Ctrl-C.
            Coils and holding registers can be written. Addresses beyond the tables
            are answered with exception 02. All functions of the specification are
            answered, identification (43/14) too.

            EXAMPLES
              ald modbus serve --port 1502
              ald modbus serve --port 1502 --table-size 10000 --pattern index
                register i holds i, bit i holds the lowest bit of i
              ald modbus serve --port 0 --json
                the system chooses the port, the first line says which
              ald modbus serve --port 1502 --host 0.0.0.0 --connections 3
                for other machines too, and no more than three at a time

              ald modbus serve --port 1502 --framing rtu
                a serial device behind a simple gateway: RTU frames in a TCP stream

              ald modbus serve --port 1802 --tls --cert plc.pem --key plc.key --ca ca.pem
                Modbus/TCP Security; clients must show a certificate

            UNITS
              The device answers for --unit, and for 255 and 0, which mean the device
              at the other end of the connection. Other units are answered with
              exception 0B, as by a gateway that finds no such device. With
              --framing rtu, unit 0 is a broadcast: executed and not answered.

            EXIT STATUS
              0   ended by Ctrl-C, SIGTERM or SIGHUP      64  wrong arguments
              69  the port is in use, or not allowed
            """)

    enum Pattern: String, CaseIterable, ExpressibleByArgument {
        case index, zero

        var pattern: TableDevice.Configuration.Pattern {
            switch self {
            case .index: .index
            case .zero: .zero
            }
        }
    }

    @Option(help: ArgumentHelp("The address to listen on.", valueName: "address"))
    var host = "127.0.0.1"

    @Option(help: ArgumentHelp("The TCP port; 0 lets the system choose.", valueName: "number"))
    var port = 502

    @Option(help: ArgumentHelp("The unit it answers for.", valueName: "number"))
    var unit: UInt8 = 1

    @Option(help: "Modbus TCP, or the frames of a serial line.")
    var framing = FramingName.tcp

    @Option(help: ArgumentHelp("Addresses of each table, 1 to 65536.", valueName: "number"))
    var tableSize = 10_000

    @Option(help: "What the tables hold at first.")
    var pattern = Pattern.index

    @Option(help: ArgumentHelp("Connections at a time; further ones are closed.", valueName: "number"))
    var connections = 1024

    @Flag(help: "Modbus/TCP Security; needs --cert and --key.")
    var tls = false

    @Option(help: ArgumentHelp("With --tls: the device's certificate.", valueName: "PEM file"))
    var cert: String?

    @Option(help: ArgumentHelp("With --tls: its key.", valueName: "PEM file"))
    var key: String?

    @Option(
        help: ArgumentHelp("With --tls: who signs clients' certificates (default: nobody asks).", valueName: "PEM file")
    )
    var ca: String?

    @Flag(help: "Write JSON lines instead of text.")
    var json = false

    func validate() throws {
        guard (1...ModbusLimits.addressSpace).contains(tableSize) else {
            throw ValidationError("--table-size is \(tableSize); allowed are 1 to \(ModbusLimits.addressSpace)")
        }
        if let problem = framing.problem(ofUnit: unit) { throw ValidationError(problem) }
        if tls, cert == nil || key == nil { throw ValidationError("--tls needs --cert and --key") }
        if !tls, cert != nil || key != nil || ca != nil { throw ValidationError("--cert, --key and --ca need --tls") }
        let problems = configuration.validate()
        if !problems.isEmpty { throw ValidationError(problems.joined(separator: "; ")) }
    }

    private var configuration: ModbusServer.Configuration {
        var configuration = ModbusServer.Configuration(host: host, port: port)
        configuration.maximumConnections = connections
        configuration.framing = framing.framing
        if tls, let cert, let key {
            configuration.tls = .init(
                identity: .init(chain: .file(cert), key: .file(key)),
                clients: ca.map { .mustBeSigned(by: .authorities(.file($0))) } ?? .insecurelyNotAsked)
        }
        return configuration
    }

    /// 255 and 0 name the device at the other end of the connection (Messaging on TCP/IP V1.0b §4.4.2).
    private var device: TableDevice {
        get throws {
            var configuration = TableDevice.Configuration(size: tableSize, pattern: pattern.pattern)
            configuration.units = [UnitID(unit), .direct, .zero]
            configuration.identification = DeviceIdentification([
                .init(.vendorName, Array("ALD".utf8)), .init(.productCode, Array("ald modbus serve".utf8)),
                .init(.majorMinorRevision, Array(ALD.configuration.version.utf8)),
            ])
            return try TableDevice(configuration)
        }
    }

    func run() async throws {
        try await reportingFailures {
            let server = ModbusServer(configuration: configuration, device: try device, logger: quietLogger)
            // Trapped before anybody can read that the server is ready.
            let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm, .sighup])
            let port = try await server.start()
            try await withCleanup {
                try report(ready: port)
                for await _ in signals { break }
            } cleanup: {
                await server.stop()
            }
            try report(end: server.statistics)
        }
    }

    private func report(ready port: Int) throws {
        if json {
            try LineOutput.write(
                json: Ready(
                    host: host, port: port, unit: unit, framing: framing.rawValue, table_size: tableSize,
                    pattern: pattern.rawValue))
        } else {
            let frames = framing == .rtu ? " in RTU frames" : ""
            try LineOutput.write(
                "Serving unit \(unit) on \(host):\(port)\(frames), four tables of \(tableSize), pattern "
                    + "\(pattern.rawValue) (Ctrl-C stops).")
        }
    }

    private func report(end statistics: ServerStatistics) throws {
        let summary = Summary(statistics)
        if json {
            try LineOutput.write(json: summary)
        } else {
            try LineOutput.write(
                "Answered \(summary.requests) requests, \(summary.exceptions) of them with an exception, on "
                    + "\(summary.connections) connections; refused \(summary.connections_refused).")
        }
    }

    private struct Ready: Encodable {
        var event = "ready"
        var host: String
        var port: Int
        var unit: UInt8
        var framing: String
        var table_size: Int
        var pattern: String
    }

    private struct Summary: Encodable {
        var event = "summary"
        var connections: Int
        var connections_refused: Int
        var requests: Int
        var exceptions: Int
        var malformed_headers: Int

        init(_ statistics: ServerStatistics) {
            connections = statistics.accepted
            connections_refused = statistics.refused
            requests = statistics.requests
            exceptions = statistics.exceptions
            malformed_headers = statistics.malformedHeaders
        }
    }
}
