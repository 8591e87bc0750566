import ALDCore
import ArgumentParser
import Logging
import Modbus
import NIOCore

/// A table by the name people type.
enum TableName: String, CaseIterable, ExpressibleByArgument {
    case coils, discrete, input, holding

    var table: DataTable {
        switch self {
        case .coils: .coils
        case .discrete: .discreteInputs
        case .input: .inputRegisters
        case .holding: .holdingRegisters
        }
    }

    init(_ table: DataTable) {
        switch table {
        case .coils: self = .coils
        case .discreteInputs: self = .discrete
        case .inputRegisters: self = .input
        case .holdingRegisters: self = .holding
        }
    }
}

/// A number as people type it: 100 or 0x64.
struct Address: ExpressibleByArgument {
    var number: UInt16

    init(_ number: UInt16) {
        self.number = number
    }

    init?(argument: String) {
        guard let number = Self.parse(argument, as: UInt16.self) else { return nil }
        self.number = number
    }

    var defaultValueDescription: String { "\(number)" }

    static func parse<Number: FixedWidthInteger>(_ text: String, as type: Number.Type) -> Number? {
        let lowered = text.lowercased()
        return lowered.hasPrefix("0x") ? Number(lowered.dropFirst(2), radix: 16) : Number(lowered)
    }
}

/// A duration as people type it: 500ms, 2s, 1m. A bare number is seconds. From 1 ms to half an hour.
struct DurationArgument: ExpressibleByArgument, CustomStringConvertible {
    var duration: Duration
    let description: String

    init?(argument: String) {
        guard let duration = DurationText.parse(argument), duration >= .milliseconds(1), duration <= .seconds(1800)
        else {
            return nil
        }
        self.duration = duration
        description = argument
    }

    init(_ duration: Duration, _ text: String) {
        self.duration = duration
        description = text
    }

    var defaultValueDescription: String { description }
}

/// A byte order of 32 and 64 bit by the name people type; a is the most significant byte.
enum OrderName: String, CaseIterable, ExpressibleByArgument {
    case abcd, badc, cdab, dcba

    var order: WordOrder {
        switch self {
        case .abcd: .abcd
        case .badc: .badc
        case .cdab: .cdab
        case .dcba: .dcba
        }
    }
}

/// How frames are cut out of the stream, by the name people type.
enum FramingName: String, CaseIterable, ExpressibleByArgument {
    case tcp, rtu

    var framing: ModbusFraming {
        switch self {
        case .tcp: .tcp
        case .rtu: .rtuOverTCP
        }
    }

    /// Why a unit cannot be asked; nil when it can.
    func problem(ofUnit unit: UInt8) -> String? {
        self == .rtu && unit == 0
            ? "unit 0 is a broadcast with --framing rtu, and nobody answers one; name a unit from 1" : nil
    }
}

/// Which device, and how patient to be with it.
struct DeviceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The device's name or address.", valueName: "name"))
    var host = "127.0.0.1"

    @Option(
        name: .customLong("port"),
        help: ArgumentHelp("Its TCP port. (default: 502; 802 with --tls)", valueName: "number"))
    var givenPort: Int?

    @Option(help: ArgumentHelp("Its Modbus unit, 0 to 255.", valueName: "number"))
    var unit: UInt8 = 1

    @Option(help: ArgumentHelp("Time for one request, connecting included.", valueName: "duration"))
    var timeout = DurationArgument(.seconds(1), "1s")

    @Option(help: "Modbus TCP, or the frames of a serial line behind a simple gateway.")
    var framing = FramingName.tcp

    @Flag(help: "Modbus/TCP Security. The device's certificate is verified.")
    var tls = false

    @Option(help: ArgumentHelp("With --tls: whom to trust (default: as the system).", valueName: "PEM file"))
    var ca: String?

    @Option(help: ArgumentHelp("With --tls: your certificate.", valueName: "PEM file"))
    var cert: String?

    @Option(help: ArgumentHelp("With --tls: its key.", valueName: "PEM file"))
    var key: String?

    @Option(help: ArgumentHelp("With --tls: the device's name in its certificate.", valueName: "name"))
    var tlsName: String?

    var port: Int { givenPort ?? (tls ? ModbusTLS.port : 502) }

    func validate() throws {
        if !tls,
            let option = [("--ca", ca), ("--cert", cert), ("--key", key), ("--tls-name", tlsName)].first(where: {
                $0.1 != nil
            })
        {
            throw ValidationError("\(option.0) needs --tls")
        }
        if (cert == nil) != (key == nil) { throw ValidationError("--cert and --key go together") }
        if host.isEmpty { throw ValidationError("--host is empty; name the device") }
        guard (1...65_535).contains(port) else {
            throw ValidationError("--port is \(port); allowed are 1 to 65535")
        }
        if let problem = framing.problem(ofUnit: unit) { throw ValidationError(problem) }
    }

    /// A configuration with which requests go to the wire one at a time and at most once: what is made again, and how
    /// often, is for the command to say.
    var configuration: ModbusClient.Configuration {
        var configuration = ModbusClient.Configuration(host: host, port: port, unit: UnitID(unit))
        configuration.repeatsRequests = false
        configuration.window = 1
        configuration.framing = framing.framing
        // The request's own deadline comes first.
        configuration.connectTimeout = timeout.duration + .seconds(1)
        configuration.progressTimeout = max(.seconds(5), timeout.duration * 2)
        configuration.backoffCap = max(.milliseconds(2), min(.milliseconds(100), timeout.duration / 4))
        configuration.backoff = min(.milliseconds(20), configuration.backoffCap)
        configuration.drainTimeout = .milliseconds(100)
        if tls {
            var client = ModbusTLS.Client()
            if let ca { client.trust = .authorities(.file(ca)) }
            if let cert, let key { client.identity = .init(chain: .file(cert), key: .file(key)) }
            client.serverName = tlsName
            configuration.tls = client
        }
        return configuration
    }

    /// When a request that starts now has had its time.
    var deadline: NIODeadline { .now() + TimeAmount(timeout.duration) }

    var place: String { "\(host):\(port)" }
}

/// A client's log is of no use to somebody who sees every result.
let quietLogger = Logger(label: "ald.modbus") { _ in SwiftLogNoOpLogHandler() }

/// Runs `body` with a client of its own, closed at the end.
func withModbusClient<Result: Sendable>(
    _ configuration: ModbusClient.Configuration, _ body: (ModbusClient) async throws -> Result
) async throws -> Result {
    let client = try ModbusClient(configuration: configuration, logger: quietLogger)
    return try await withCleanup {
        try await body(client)
    } cleanup: {
        await client.close()
    }
}
