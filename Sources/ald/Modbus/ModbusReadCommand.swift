import ALDCore
import ArgumentParser
import Modbus

struct ModbusReadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read",
        abstract: "Read coils, discrete inputs, input or holding registers.",
        discussion: """
            Sends one request for each address, one after the other over one
            connection, and writes one line for each: `ok` and what was read, or
            `error` and why not.

            EXAMPLES
              ald modbus read holding 100 --host 10.0.0.5
                ok 0064
              ald modbus read holding 100 200 --count 2 --host 10.0.0.5
                ok 0064 0065
                ok 00C8 00C9
              ald modbus read coils 0 --count 4
                ok 0 1 0 1
              ald modbus read input 2100 --type float32 --order cdab
                ok 123456.0
              ald modbus read holding 0 --json | jq .registers[0]
              ald modbus read holding 0 --host plc --tls --ca plant.pem
              ald modbus read holding 0 --unit 7 --host gateway --framing rtu

            Registers are four hexadecimal digits (0-9, A-F), bits 0 or 1. With
            --type, --count counts values. Nothing is sent twice unless --retries
            says so.

            \(ModbusErrorKind.help)

            EXIT STATUS
              0   every address was read      1   at least one was not
              64  wrong arguments
            """)

    @Argument(help: "What to read.")
    var table: TableName

    @Argument(help: ArgumentHelp("First addresses, 0 to 65535.", valueName: "address"))
    var addresses: [Address]

    @Option(help: ArgumentHelp("How many to read from each address.", valueName: "number"))
    var count = 1

    @Option(help: "What registers mean.")
    var type: ValueType?

    @Option(help: ArgumentHelp("Byte order of 32 and 64 bit; a is the highest byte.", valueName: "order"))
    var order = OrderName.abcd

    @Option(help: ArgumentHelp("How often a read that failed is made again.", valueName: "number"))
    var retries = 0

    @Flag(help: "Write one JSON object per line.")
    var json = false

    @OptionGroup var device: DeviceOptions

    private var addressCount: Int {
        count.multipliedReportingOverflow(by: type?.registers ?? 1).partialValue
    }

    func validate() throws {
        if addresses.isEmpty { throw ValidationError("name at least one address, for instance: holding 100") }
        if type != nil, table.table.isBits {
            throw ValidationError("--type is for registers; \(table.rawValue) are bits")
        }
        let limit = table.table.maximumReadCount / (type?.registers ?? 1)
        guard (1...limit).contains(count) else {
            throw ValidationError("--count is \(count); one request reads 1 to \(limit)")
        }
        if let beyond = addresses.first(where: { AddressRange(start: $0.number, count: addressCount) == nil }) {
            throw ValidationError(
                "\(addressCount) from address \(beyond.number) would run past 65535; lower --count")
        }
        guard (0...1000).contains(retries) else {
            throw ValidationError("--retries is \(retries); allowed are 0 to 1000")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let allRead = try await cancelledBySignals {
                try await withModbusClient(device.configuration) { client in
                    var allRead = true
                    for address in addresses {
                        let report = await read(address.number, from: client)
                        if case .failure(let error) = report.result {
                            allRead = false
                            StandardStream.error.write("ald: \(table.rawValue) \(address.number): \(error.message)\n")
                        }
                        if json {
                            try LineOutput.write(json: report.json(table, type: type, order: order.order))
                        } else {
                            try LineOutput.write(report.line(type: type, order: order.order))
                        }
                    }
                    return allRead
                }
            }
            if !allRead { throw ExitCode(1) }
        }
    }

    private func read(_ address: UInt16, from client: ModbusClient) async -> RequestReport {
        let started = SystemTime().now
        var attempts = 0
        while true {
            attempts += 1
            let result: Result<ReadData?, ModbusError>
            do throws(ModbusError) {
                guard let range = AddressRange(start: address, count: addressCount) else {
                    throw ModbusError(.invalidRequest("it runs past address 65535"))
                }
                result = .success(try await client.read(table.table, range, deadline: device.deadline))
            } catch {
                result = .failure(error)
            }
            let report = RequestReport(
                address: address, result: result, attempts: attempts, took: SystemTime().now - started)
            guard attempts <= retries, report.kind?.isRepeatable == true else { return report }
        }
    }
}
