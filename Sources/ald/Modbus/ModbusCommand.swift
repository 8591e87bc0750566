import ArgumentParser

struct ModbusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "modbus",
        abstract: "Read, write, watch, examine and imitate Modbus TCP devices.",
        discussion: """
            EXAMPLES
              ald modbus read holding 100 --count 2 --host 10.0.0.5
              ald modbus write holding 100 42 --host 10.0.0.5
              ald modbus watch holding 100 --count 10 --host 10.0.0.5
              ald modbus scan --host 10.0.0.5        what can this device do?
              ald modbus bench --host 10.0.0.5       how fast does it answer?
              ald modbus serve --port 1502           a device to try all this on

            Addresses are those of the wire: they begin at 0, in every table. What a
            manual calls 40001 is `holding 0`. Numbers may be written 100 or 0x64.
            """,
        subcommands: [
            ModbusReadCommand.self, ModbusWriteCommand.self, ModbusWatchCommand.self, ModbusScanCommand.self,
            ModbusBenchCommand.self, ModbusServeCommand.self,
        ])
}
