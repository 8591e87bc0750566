public import Modbus
import NIOCore
import Synchronization

/// A machine's controller reached over Modbus TCP.
///
/// Reads go through one plan that covers all parameters in as few requests, or in as little time, as the map and the
/// device allow; which addresses a device lacks and how much it takes at once is learnt while reading. Writes are
/// single requests that are never repeated once they may have been executed; also an exception may leave that open
/// (``ExceptionCode/leavesWriteInDoubt``).
public final class ModbusPLC: PLC {
    public let registerMap: RegisterMap
    private let reading: AdaptiveReading
    private let setPoints: AdaptiveReading
    private let planner: ReadPlanner
    /// Plans for some of the set points, made when they are first asked for. Of more than ``maximumPlans`` none is kept.
    private let someSetPoints = Mutex<[Set<ParameterID>: AdaptiveReading]>([:])
    private static let maximumPlans = 64
    private let isUrgent: Bool
    private let client: ModbusClient
    private let time: any TimeSource

    /// - Parameters:
    ///   - client: stays the caller's; whoever made it closes it. Several may share one connection.
    ///   - isUrgent: whether its writes go before those of others on the same client, and its reads of set points before
    ///     those of others, also in the middle of a scan: for who opens valves.
    /// - Throws: ``PLCError/refused(_:)`` when no plan can read the map within the limits of the protocol.
    public init(
        _ registerMap: RegisterMap, client: ModbusClient, planner: ReadPlanner = ReadPlanner(),
        isUrgent: Bool = false, time: any TimeSource = SystemTime()
    ) throws(PLCError) {
        self.registerMap = registerMap
        self.client = client
        self.time = time
        self.isUrgent = isUrgent
        self.planner = planner
        do {
            setPoints = AdaptiveReading(try AdaptiveReader(registerMap.setPointSpans, planner: planner))
            reading = AdaptiveReading(try AdaptiveReader(registerMap.readSpans, planner: planner))
        } catch {
            throw .refused("\(error)")
        }
    }

    /// The requests the next scan sends, as far as they are known before.
    public var plan: ReadPlan { reading.reader.plan }

    /// The connection to the controller as it is now.
    public var connectionState: ConnectionState { client.state }

    public func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan {
        let started = time.wallClock
        let result = await client.read(reading, deadline: nioDeadline(deadline))
        // One unanswered request costs its own parameters; without any answer there is nothing to record.
        guard result.hasData else {
            throw Self.translate(result.firstError, writing: false)
        }
        return Scan(time: started, readings: registerMap.parameters.map { reading(of: $0, in: result) })
    }

    private func reading(of parameter: Parameter, in result: SpanResults) -> Reading {
        number(of: parameter, at: parameter.readLocation, in: result).map { Reading($0, of: parameter) }
            ?? .unread(parameter.id)
    }

    private func number(
        of parameter: Parameter, at location: RegisterLocation, in result: SpanResults
    ) -> Double? {
        guard let span = parameter.span(at: location), case .success(let data) = result.values(span.table, span.range)
        else { return nil }
        return parameter.dataType.decode(data.words[...], order: registerMap.wordOrder)
    }

    public func readSetPoints(deadline: MonotonicInstant) async throws(PLCError) -> [ParameterID: Double] {
        guard !registerMap.setPointSpans.isEmpty else { return [:] }
        let result = await client.read(setPoints, deadline: nioDeadline(deadline))
        return try values(of: registerMap.parameters, in: result)
    }

    public func readSetPoints(
        of parameters: Set<ParameterID>, deadline: MonotonicInstant
    ) async throws(PLCError) -> [ParameterID: Double] {
        let wanted = parameters.sorted().compactMap { registerMap[$0] }
        guard !wanted.isEmpty else { return [:] }
        let result = await client.read(
            try reading(of: parameters, wanted), isUrgent: isUrgent, deadline: nioDeadline(deadline))
        return try values(of: wanted, in: result)
    }

    private func reading(of ids: Set<ParameterID>, _ wanted: [Parameter]) throws(PLCError) -> AdaptiveReading {
        if let known = someSetPoints.withLock({ $0[ids] }) { return known }
        let spans = wanted.compactMap { parameter in parameter.writeLocation.flatMap { parameter.span(at: $0) } }
        let made: AdaptiveReading
        do {
            made = AdaptiveReading(try AdaptiveReader(spans, planner: planner))
        } catch {
            throw .refused("\(error)")
        }
        someSetPoints.withLock { plans in
            if plans.count >= Self.maximumPlans { plans = [:] }
            plans[ids] = made
        }
        return made
    }

    private func values(
        of parameters: [Parameter], in result: SpanResults
    ) throws(PLCError) -> [ParameterID: Double] {
        guard result.hasData else { throw Self.translate(result.firstError, writing: false) }
        var values: [ParameterID: Double] = [:]
        for parameter in parameters {
            guard let location = parameter.writeLocation else { continue }
            values[parameter.id] = number(of: parameter, at: location, in: result)
        }
        return values
    }

    public func readSetPoint(of id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
        guard let parameter = registerMap[id] else { throw .unknownParameter("number \(id)") }
        guard let location = parameter.writeLocation else { throw .notWritable(parameter) }
        let count = parameter.dataType.addressCount(in: location.table)
        guard let range = AddressRange(start: location.address, count: count) else {
            throw .refused("\(parameter.qualifiedName) at \(location) reaches past the last address, 65535")
        }
        do throws(ModbusError) {
            let data = try await client.read(
                location.table, range, isUrgent: isUrgent, deadline: nioDeadline(deadline))
            guard let value = parameter.dataType.decode(data.words[...], order: registerMap.wordOrder) else {
                throw ModbusError(.malformedResponse("\(data.count) values for a \(parameter.dataType.rawValue)"))
            }
            return value
        } catch {
            throw Self.translate(error, writing: false)
        }
    }

    public func write(_ value: Double, to id: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
        let (parameter, location) = try registerMap.checkedForWriting(value, to: id)
        guard let words = parameter.dataType.encode(value, order: registerMap.wordOrder) else {
            throw .outOfRange(value, parameter)
        }
        let request: ModbusRequest =
            switch (location.table.isBits, words.count) {
            case (true, _): .writeCoil(address: location.address, value: words[0] != 0)
            case (false, 1): .writeRegister(address: location.address, value: words[0])
            case (false, _): .writeRegisters(start: location.address, values: words)
            }
        do throws(ModbusError) {
            _ = try await client.send(request, isUrgent: isUrgent, deadline: nioDeadline(deadline))
        } catch {
            throw Self.translate(error, writing: true)
        }
    }

    /// Deadlines are instants of our clock; NIO counts from another origin.
    private func nioDeadline(_ deadline: MonotonicInstant) -> NIODeadline {
        .now() + .nanoseconds((deadline - time.now).wholeNanoseconds)
    }

    private static func translate(_ error: ModbusError?, writing: Bool) -> PLCError {
        guard let error else { return .unreachable("it was asked for nothing") }
        switch error.code {
        case .exception(let exception, _) where writing && exception.leavesWriteInDoubt:
            return .unknownOutcome("\(error)")
        // A gateway has answered, and says that the device has not.
        case .exception(.gatewayPathUnavailable, _) where !writing,
            .exception(.gatewayTargetFailedToRespond, _) where !writing:
            return .unreachable("\(error)")
        // Sent, or waiting behind what is slow. A connection that is still being made says nothing about the controller.
        case .timedOut(.reply) where !writing, .timedOut(.queue) where !writing: return .unanswered("\(error)")
        // Not now: it executed nothing, and may be asked again as long as there is time.
        case .exception(.serverDeviceBusy, _) where writing: return .unreachable("\(error)")
        case .exception: return .refused("\(error)")
        case .unknownOutcome: return .unknownOutcome("\(error)")
        case .connectionClosed(mayHaveExecuted: true) where writing: return .unknownOutcome("\(error)")
        case .invalidRequest: return .refused("\(error)")
        default: return .unreachable("\(error)")
        }
    }
}

extension ReadData {
    /// The values as words, a bit as 0 or 1.
    fileprivate var words: [UInt16] {
        switch self {
        case .registers(let registers): registers
        case .bits(let bits): bits.map { $0 ? 1 : 0 }
        }
    }
}
