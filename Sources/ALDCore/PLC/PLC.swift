/// A machine's controller, whatever is behind it: a device on the network or the simulation in this process.
public protocol PLC: Sendable {
    /// The parameters this controller knows.
    var registerMap: RegisterMap { get }

    /// Reads every parameter.
    ///
    /// A parameter that could not be read has a bad reading; the others keep their values. Only when nothing at all
    /// could be read does the call fail.
    ///
    /// - Parameter deadline: the call has returned or thrown by then.
    func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan

    /// Reads one parameter's set point from where it is written; exact and without side effects.
    func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double

    /// Reads the set points of all parameters that can be written, from where they are written; exact and without
    /// side effects. Those that could not be read are missing.
    ///
    /// - Throws: when not one could be read.
    func readSetPoints(deadline: MonotonicInstant) async throws(PLCError) -> [ParameterID: Double]

    /// The same for some of them, in as few requests as it takes: for who has to know before he acts.
    func readSetPoints(
        of parameters: Set<ParameterID>, deadline: MonotonicInstant
    ) async throws(PLCError) -> [ParameterID: Double]

    /// Writes one parameter's set point.
    ///
    /// - Throws: ``PLCError/outOfRange(_:_:)``, ``PLCError/notWritable(_:)`` or ``PLCError/unknownParameter(_:)``
    ///   before anything is sent; ``PLCError/refused(_:)`` and ``PLCError/unreachable(_:)`` when the machine has done
    ///   nothing; ``PLCError/unknownOutcome(_:)`` when it may or may not have acted. The latter must be read back, never
    ///   repeated blindly.
    func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError)
}

extension PLC {
    /// One after the other, for controllers that cannot do better.
    public func readSetPoints(deadline: MonotonicInstant) async throws(PLCError) -> [ParameterID: Double] {
        var values: [ParameterID: Double] = [:]
        var failure: PLCError?
        for parameter in registerMap.parameters where parameter.isWritable {
            do throws(PLCError) {
                values[parameter.id] = try await readSetPoint(of: parameter.id, deadline: deadline)
            } catch {
                failure = failure ?? error
            }
        }
        if values.isEmpty, let failure { throw failure }
        return values
    }

    /// One after the other, for controllers that cannot do better.
    public func readSetPoints(
        of parameters: Set<ParameterID>, deadline: MonotonicInstant
    ) async throws(PLCError) -> [ParameterID: Double] {
        var values: [ParameterID: Double] = [:]
        for id in parameters.sorted() { values[id] = try await readSetPoint(of: id, deadline: deadline) }
        return values
    }
}

/// Why a PLC could not do what it was asked.
public enum PLCError: Error, Sendable, CustomStringConvertible {
    /// No parameter has this name or number in the register map.
    case unknownParameter(String)
    case notWritable(Parameter)
    case outOfRange(Double, Parameter)
    /// The controller could not be reached, or has no time for a write now: nothing was written, and it may be tried
    /// again. Says what was tried and why it failed.
    case unreachable(String)
    /// It was asked for values and had not answered by the deadline: it is slow, or silent. Nothing was written, and it may
    /// be tried again. A write of which this holds is an ``unknownOutcome(_:)``.
    case unanswered(String)
    /// The controller answered, and the answer was no: it has done nothing. An answer that leaves that open, such as a
    /// device failure in the middle of a write, is an ``unknownOutcome(_:)``.
    case refused(String)
    /// Nothing was sent: it would open a valve that has to stay closed now. Says why.
    case interlocked(String)
    /// A write was sent, and no answer came or one that does not say whether it was executed: the machine may have
    /// acted.
    case unknownOutcome(String)

    public var description: String {
        switch self {
        case .unknownParameter(let name):
            "unknown parameter \(name): it is not in the register map"
        case .notWritable(let parameter):
            "\(parameter.qualifiedName) is read-only: the register map gives it no write address"
        case .outOfRange(let value, let parameter):
            "\(value) \(parameter.unit) is outside \(parameter.qualifiedName)'s range "
                + "\(parameter.range.lowerBound) … \(parameter.range.upperBound) \(parameter.unit)"
        case .unreachable(let reason): "the PLC cannot be reached: \(reason)"
        case .unanswered(let reason): "the PLC has not answered in time: \(reason)"
        case .refused(let reason): "the PLC refused: \(reason)"
        case .interlocked(let reason): reason
        case .unknownOutcome(let reason):
            "the PLC may or may not have executed the write: \(reason); read the set point back before doing anything"
        }
    }
}

extension RegisterMap {
    /// The checks every write goes through before anything reaches a machine.
    func checkedForWriting(
        _ value: Double, to id: ParameterID
    ) throws(PLCError) -> (parameter: Parameter, location: RegisterLocation) {
        guard let parameter = self[id] else { throw .unknownParameter("number \(id)") }
        guard let location = parameter.writeLocation else { throw .notWritable(parameter) }
        guard value.isFinite, parameter.range.contains(value) else { throw .outOfRange(value, parameter) }
        return (parameter, location)
    }
}
