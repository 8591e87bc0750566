import ALDCore
import ArgumentParser
import Foundation
import Modbus
import NIOCore

struct ModbusWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Show values as they change.",
        discussion: """
            Reads the addresses again and again until Ctrl-C. On a terminal it keeps a
            table up to date: what changed last is marked with *, with lowest and
            highest value. Elsewhere it writes a line for each value at first, and then
            for each change.

            EXAMPLES
              ald modbus watch holding 100 --count 10 --host 10.0.0.5
              ald modbus watch input 2100 --count 4 --type float32 --order cdab
              ald modbus watch coils 0 --count 16 --every 200ms --json
              ald modbus watch holding 100 --times 60 > log.txt

            EXIT STATUS
              0   ended by Ctrl-C, or after --times      64  wrong arguments
            """)

    @Argument(help: "What to read.")
    var table: TableName

    @Argument(help: "First address, 0 to 65535.")
    var address: Address

    @Option(help: ArgumentHelp("How many values, 1 to 1000.", valueName: "number"))
    var count = 1

    @Option(help: ArgumentHelp("Time between two readings.", valueName: "duration"))
    var every = DurationArgument(.seconds(1), "1s")

    @Option(help: ArgumentHelp("End after so many readings.", valueName: "number"))
    var times: Int?

    @Option(help: "What registers mean.")
    var type = ValueType.uint16

    @Option(help: ArgumentHelp("Byte order of 32 and 64 bit; a is the highest byte.", valueName: "order"))
    var order = OrderName.abcd

    @Flag(help: "Write JSON lines: each value, each change, errors, a summary.")
    var json = false

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        guard (1...1000).contains(count) else { throw ValidationError("--count is \(count); allowed are 1 to 1000") }
        let addresses = count * (table.table.isBits ? 1 : type.registers)
        guard AddressRange(start: address.number, count: addresses) != nil else {
            throw ValidationError(
                "\(addresses) from address \(address.number) would run past 65535; lower --count")
        }
        if let times, times < 1 { throw ValidationError("--times is \(times); it must be at least 1") }
    }

    func run() async throws {
        try await reportingFailures {
            let isLive = !json && StandardStream.output.isTerminal
            let watch = try await cancelledBySignals {
                try await withModbusClient(device.configuration) { client in
                    try await follow(client, on: isLive ? LiveTable(output: .output) : nil)
                }
            }
            if json {
                try LineOutput.write(json: WatchReport.SummaryJSON(watch))
            } else {
                StandardStream.output.flush()
                try LineOutput.write(WatchReport.summary(watch))
            }
        }
    }

    /// Reads until somebody ends it.
    private func follow(_ client: ModbusClient, on screen: LiveTable?) async throws -> Watch {
        var screen = screen
        var watch = Watch(table: table, start: address.number, count: count, type: type, order: order.order)
        let spans = watch.spans
        let plan = try ReadPlanner().plan(spans)
        let time = SystemTime()
        var next = time.now
        while !Task.isCancelled {
            let started = time.now
            let patience = device.timeout.duration * plan.requests.count
            let result = await client.run(plan, deadline: .now() + TimeAmount(patience))
            // Ended in the middle of a reading: that was no failure of the device.
            if Task.isCancelled { break }
            if let error = result.firstError {
                let isNew = watch.record(ModbusErrorKind(error))
                if isNew, screen == nil { try show(error) }
            } else {
                let data = spans.compactMap { try? result.values($0.table, $0.range)?.get() }
                let changes = watch.record(data, took: time.now - started)
                if screen == nil { try show(changes, of: watch) }
            }
            screen?.show { width, height in
                WatchReport.table(
                    watch, place: "\(device.place), unit \(device.unit)", every: every.duration, width: width,
                    height: height)
            }
            if let times, watch.readings >= times { break }
            // A device slower than the interval is read at its own pace, and the instants missed are not made up for.
            next = max(next + every.duration, time.now)
            do { try await time.sleep(until: next) } catch { break }
        }
        return watch
    }

    private func show(_ changes: [Watch.Change], of watch: Watch) throws {
        for change in changes {
            if json {
                try LineOutput.write(json: WatchReport.ValueJSON(change, of: watch))
            } else {
                try LineOutput.write(WatchReport.line(change, of: watch))
            }
        }
    }

    private func show(_ error: ModbusError) throws {
        if json {
            try LineOutput.write(
                json: WatchReport.ErrorJSON(error: "\(ModbusErrorKind(error))", message: error.message))
        } else {
            try LineOutput.write("error \(ModbusErrorKind(error)): \(error.message)")
        }
    }
}
