import ALDCore
import Modbus
import NIOCore

/// Examines a device by reading, one request at a time.
struct DeviceScan {
    /// Where devices have their first address, the likeliest first.
    static let usualAddresses: [UInt16] = [0, 1, 100, 1000, 2000, 3000, 4000, 5000, 10_000, 30_000, 40_000]

    /// How one probe ended.
    private enum Answer: Equatable {
        case data
        case exception(UInt8)
        case none(ModbusErrorKind)

        init(_ kind: ModbusErrorKind) {
            if case .exception(let code) = kind { self = .exception(code) } else { self = .none(kind) }
        }

        var text: String {
            switch self {
            case .data: "data"
            case .exception(let code): "\(ModbusErrorKind.exception(code))"
            case .none(let kind): "\(kind)"
            }
        }
    }

    private let device: DeviceOptions
    private let wantedUnits: ClosedRange<UInt8>
    private let candidates: [UInt16]
    private let mostConnections: Int
    private let deadline: MonotonicInstant
    private let show: (String) -> Void
    private let time = SystemTime()
    private var findings: ScanFindings
    private var roundTrips = DurationHistogram()

    init(
        device: DeviceOptions, units: ClosedRange<UInt8>, candidates: [UInt16]?, connections: Int,
        deadline: MonotonicInstant, show: @escaping (String) -> Void
    ) {
        self.device = device
        wantedUnits = units
        self.candidates = candidates ?? Self.usualAddresses
        mostConnections = connections
        self.deadline = deadline
        self.show = show
        findings = ScanFindings(host: device.host, port: device.port)
    }

    mutating func run() async throws -> ScanFindings {
        let client = try ModbusClient(configuration: device.configuration, logger: quietLogger)
        await findUnits(client)
        let found = findings.units
        if let first = found.first(where: { $0.unit == device.unit }) ?? found.first(where: { $0.answer == "data" })
            ?? found.first
        {
            findings.unit = first.unit
            await identify(UnitID(first.unit), client)
            for table in DataTable.allCases { await examine(table, UnitID(first.unit), client) }
        }
        await client.close()
        if let unit = findings.unit, mostConnections > 0, !isOver {
            findings.connections = try await countConnections(UnitID(unit))
        }
        if roundTrips.count > 0 { findings.round_trip_seconds = JSONStatus.Distribution(roundTrips) }
        if isOver { findings.is_complete = false }
        return findings
    }

    private var isOver: Bool { Task.isCancelled || time.now >= deadline }

    // MARK: Units

    private mutating func findUnits(_ client: ModbusClient) async {
        for unit in wantedUnits where !isOver {
            show("unit \(unit)")
            let answer = await ask(client, .holdingRegisters, candidates[0], 1, UnitID(unit))
            switch answer {
            case .data: findings.units.append(.init(unit: unit, answer: answer.text))
            case .exception(ExceptionCode.gatewayPathUnavailable.rawValue),
                .exception(ExceptionCode.gatewayTargetFailedToRespond.rawValue):
                break
            case .exception: findings.units.append(.init(unit: unit, answer: answer.text))
            case .none(let kind):
                findings.error = "\(kind)"
                // Where there is no connection, there is none for the next unit either.
                if kind == .refused { return }
            }
        }
        if !findings.units.isEmpty { findings.error = nil }
    }

    // MARK: Identification

    /// Asks for everything 43/14 has, and, when it has nothing, for what function 17 tells.
    private mutating func identify(_ unit: UnitID, _ client: ModbusClient) async {
        guard !isOver else { return }
        show("identification")
        do throws(ModbusError) {
            let identification = try await client.readDeviceIdentification(unit: unit, deadline: device.deadline)
            findings.identification = identification.objects.map {
                .init(name: Self.name($0.id), text: Self.text($0.value))
            }
            return
        } catch {
            // Most devices do not have the function; what else they say comes out below.
        }
        do throws(ModbusError) {
            let bytes = try await client.readServerID(unit: unit, deadline: device.deadline)
            findings.identification = [.init(name: "server identifier", text: Self.text(bytes))]
        } catch {
            // Neither; there is nothing to report.
        }
    }

    private static func name(_ id: DeviceIdentification.ObjectID) -> String {
        switch id {
        case .vendorName: "vendor"
        case .productCode: "product code"
        case .majorMinorRevision: "revision"
        case .vendorURL: "vendor URL"
        case .productName: "product"
        case .modelName: "model"
        case .userApplicationName: "application"
        default: "object \(hexadecimal(id.rawValue))"
        }
    }

    /// Bytes as text where they are text, otherwise in hexadecimal: what a device says of itself must not reach a
    /// terminal as a control sequence.
    static func text(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self),
            text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        {
            return text
        }
        return bytes.map { hexadecimal($0) }.joined(separator: " ")
    }

    // MARK: Tables

    private mutating func examine(_ table: DataTable, _ unit: UnitID, _ client: ModbusClient) async {
        var first: UInt16?
        for candidate in candidates where first == nil && !isOver {
            show("\(table) at \(candidate)")
            if await ask(client, table, candidate, 1, unit) == .data { first = candidate }
        }
        guard let first else { return }
        // 2^16 addresses at most: far steps, then halves.
        let space = ModbusLimits.addressSpace - Int(first)
        var step = 1
        while step < space {
            show("\(table) at \(Int(first) + step)")
            guard !isOver, await ask(client, table, first + UInt16(step), 1, unit) == .data else { break }
            step *= 2
        }
        let run = await largest(from: max(step / 2, 0) + 1, below: min(step, space) + 1) { scan, count in
            scan.show("\(table) at \(Int(first) + count - 1)")
            return await scan.ask(client, table, first + UInt16(count - 1), 1, unit)
        }
        let limit = min(table.maximumReadCount, run.count)
        let block: (count: Int, refusal: Answer?)
        if await ask(client, table, first, limit, unit) == .data {
            block = (limit, nil)
        } else {
            block = await largest(from: 1, below: limit) { scan, count in
                scan.show("\(table), block of \(count)")
                return await scan.ask(client, table, first, count, unit)
            }
        }
        findings.tables.append(
            .init(
                table: TableName(table).rawValue, first: first, last: first + UInt16(run.count - 1),
                largest_block: block.count, beyond: block.count == limit ? nil : block.refusal?.text))
    }

    /// The largest number that is answered with data, when `lower` is and `upper` is not, and how the next was refused.
    private mutating func largest(
        from lower: Int, below upper: Int, _ probe: (inout DeviceScan, Int) async -> Answer
    ) async -> (count: Int, refusal: Answer?) {
        var (good, bad) = (lower, max(upper, lower + 1))
        var refusal: Answer?
        while bad - good > 1, !isOver {
            let middle = good + (bad - good) / 2
            let answer = await probe(&self, middle)
            if answer == .data { good = middle } else { (bad, refusal) = (middle, answer) }
        }
        return (good, refusal)
    }

    // MARK: Connections

    /// Opens one connection after the other and keeps them, until one is not served or an earlier one is lost.
    private mutating func countConnections(_ unit: UnitID) async throws -> ScanFindings.Connections? {
        var clients: [ModbusClient] = []
        var result = ScanFindings.Connections(accepted: 0, tried: 0)
        while result.tried < mostConnections, result.beyond == nil, !isOver {
            show("connection \(result.tried + 1)")
            let client = try ModbusClient(configuration: device.configuration, logger: quietLogger)
            clients.append(client)
            let answer = await ask(client, .holdingRegisters, candidates[0], 1, unit, again: false)
            // What the end of the scan broke off says nothing about the device.
            if answer == .none(.cancelled) { break }
            result.tried += 1
            if case .none(let kind) = answer {
                result.beyond = "\(kind)"
            } else if clients.contains(where: { $0.statistics.connectionLosses > 0 }) {
                result.beyond = "an older one was closed"
            } else {
                result.accepted += 1
            }
        }
        for client in clients { await client.close() }
        return result.tried == 0 ? nil : result
    }

    // MARK: Asking

    /// One read. What came of a connection that the device closed is asked once more.
    private mutating func ask(
        _ client: ModbusClient, _ table: DataTable, _ start: UInt16, _ count: Int, _ unit: UnitID, again: Bool = true
    ) async -> Answer {
        guard !isOver else { return .none(.cancelled) }
        guard let range = AddressRange(start: start, count: count) else {
            return .exception(ExceptionCode.illegalDataAddress.rawValue)
        }
        let started = time.now
        do throws(ModbusError) {
            _ = try await client.read(table, range, unit: unit, deadline: device.deadline)
            roundTrips.record(time.now - started)
            return .data
        } catch {
            let kind = ModbusErrorKind(error)
            if kind == .closed, again { return await ask(client, table, start, count, unit, again: false) }
            return Answer(kind)
        }
    }
}
