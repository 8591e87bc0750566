import ALDCore
import ArgumentParser
import Modbus

struct ModbusWriteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "write",
        abstract: "Write coils or holding registers.",
        discussion: """
            Sends one request, exactly once, and writes one line: `ok`, or `error` and
            why. A write that was sent and not confirmed ends as unknown-outcome and is
            never sent again: read back before deciding.

            EXAMPLES
              ald modbus write holding 100 42 --host 10.0.0.5       function 06
              ald modbus write holding 100 1 2 0xFFFF               function 16
              ald modbus write coils 5 1 0 1                        function 15
              ald modbus write coils 5 1                            function 05
              ald modbus write holding 200 123456.0 --type float32 --order cdab
              ald modbus write holding 300 --type int16 -- -5

            Several values go to consecutive addresses. Coils are 0 or 1 (or off, on).
            A negative number needs -- in front of it.

            \(ModbusErrorKind.help)

            EXIT STATUS
              0   written      1   not written, or not known      64  wrong arguments
            """)

    @Argument(help: "What to write to: coils or holding.")
    var table: TableName

    @Argument(help: "First address, 0 to 65535.")
    var address: Address

    @Argument(help: ArgumentHelp("What to write.", valueName: "value"))
    var values: [String]

    @Option(help: "What the values are.")
    var type: ValueType = .uint16

    @Option(help: ArgumentHelp("Byte order of 32 and 64 bit; a is the highest byte.", valueName: "order"))
    var order = OrderName.abcd

    @Flag(help: "Use function 15 or 16 for a single value, too.")
    var multiple = false

    @Flag(help: "Write a JSON object.")
    var json = false

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        if values.isEmpty { throw ValidationError("name at least one value, for instance: holding 100 42") }
        do throws(ModbusError) {
            try request().checked()
        } catch {
            throw ValidationError("\(table.rawValue) \(address.number): \(error.message)")
        }
    }

    /// The request; everything that is wrong with the values shows here.
    private func request() throws(ModbusError) -> ModbusRequest {
        let start = address.number
        switch table {
        case .coils:
            var bits: [Bool] = []
            for value in values {
                guard let bit = Self.bit(value) else { throw Self.wrong("\"\(value)\" is no coil value; write 0 or 1") }
                bits.append(bit)
            }
            guard bits.count == 1, !multiple else { return .writeCoils(start: start, values: bits) }
            return .writeCoil(address: start, value: bits[0])
        case .holding:
            var words: [UInt16] = []
            for value in values {
                guard let encoded = type.encode(value, order: order.order) else {
                    throw Self.wrong("\"\(value)\" is no \(type.rawValue); choose another --type")
                }
                words += encoded
            }
            guard words.count == 1, !multiple else { return .writeRegisters(start: start, values: words) }
            return .writeRegister(address: start, value: words[0])
        case .discrete, .input:
            throw Self.wrong("\(table.rawValue) can only be read; write coils or holding")
        }
    }

    private static func wrong(_ reason: String) -> ModbusError { ModbusError(.invalidRequest(reason)) }

    private static func bit(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "1", "on", "true": true
        case "0", "off", "false": false
        default: nil
        }
    }

    func run() async throws {
        try await reportingFailures {
            let request = try request()
            let report = try await cancelledBySignals {
                try await withModbusClient(device.configuration) { client in
                    let started = SystemTime().now
                    let result: Result<ReadData?, ModbusError>
                    do throws(ModbusError) {
                        _ = try await client.send(request, deadline: device.deadline)
                        result = .success(nil)
                    } catch {
                        result = .failure(error)
                    }
                    return RequestReport(
                        address: address.number, result: result, attempts: 1, took: SystemTime().now - started)
                }
            }
            if case .failure(let error) = report.result {
                StandardStream.error.write("ald: \(table.rawValue) \(address.number): \(error.message)\n")
            }
            if json {
                try LineOutput.write(json: report.json(table, type: nil, order: order.order))
            } else {
                try LineOutput.write(report.line(type: nil, order: order.order))
            }
            if report.kind != nil { throw ExitCode(1) }
        }
    }
}
