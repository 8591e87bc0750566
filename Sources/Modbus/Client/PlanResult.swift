/// What came of running a ``ReadPlan``: one result per request, in the plan's order. Requests fail one by one; the
/// others keep their data.
public struct PlanResult: Sendable {
    /// The plan that was run.
    public let plan: ReadPlan
    /// One result per request of the plan.
    public let results: [Result<ReadData, ModbusError>]
    private let roundTrips: [Duration?]

    /// - Parameter roundTrips: as many as there are results, or none when nothing was measured.
    init(plan: ReadPlan, results: [Result<ReadData, ModbusError>], roundTrips: [Duration?] = []) {
        self.plan = plan
        self.results = results
        self.roundTrips = roundTrips
    }

    /// How long the answer to request `index` took; nil when the request shared the connection with another one, so
    /// that part of the time was spent waiting for that.
    public func roundTrip(_ index: Int) -> Duration? {
        roundTrips.indices.contains(index) ? roundTrips[index] : nil
    }

    /// The values of `range`, which must be (part of) a span the plan was made from.
    ///
    /// - Returns: the values, the error of the request that should have read them, or nil when the plan does not
    ///   read all of `range` in one request.
    public func values(_ table: DataTable, _ range: AddressRange) -> Result<ReadData, ModbusError>? {
        guard let index = plan.index(of: table, range) else { return nil }
        switch results[index] {
        case .failure(let error):
            return .failure(error)
        case .success(let data):
            let first = Int(range.start) - Int(plan.requests[index].range.start)
            return data.slice(first..<(first + range.count)).map { .success($0) }
        }
    }

    /// The register at `address`; nil when the plan does not read it.
    public func register(_ table: DataTable, at address: UInt16) -> Result<UInt16, ModbusError>? {
        switch values(table, AddressRange(address)) {
        case .success(.registers(let words)): words.first.map { .success($0) }
        case .failure(let error): .failure(error)
        case .success(.bits), nil: nil
        }
    }

    /// The bit at `address`; nil when the plan does not read it.
    public func bit(_ table: DataTable, at address: UInt16) -> Result<Bool, ModbusError>? {
        switch values(table, AddressRange(address)) {
        case .success(.bits(let bits)): bits.first.map { .success($0) }
        case .failure(let error): .failure(error)
        case .success(.registers), nil: nil
        }
    }

    /// Whether every request was answered with data.
    public var isComplete: Bool {
        firstError == nil
    }

    /// The first request's error in plan order, nil when all were answered with data.
    public var firstError: ModbusError? {
        for case .failure(let error) in results { return error }
        return nil
    }
}
