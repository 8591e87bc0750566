/// What one call wants done.
enum ClientWork: Sendable {
    /// One request that was checked.
    case single(ModbusRequest)
    /// The requests of a plan, at least one.
    case plan([PlannedRead])

    var count: Int {
        switch self {
        case .single: 1
        case .plan(let reads): reads.count
        }
    }

    var isWrite: Bool {
        switch self {
        case .single(let request): request.isWrite
        case .plan: false
        }
    }

    var isPlan: Bool {
        switch self {
        case .single: false
        case .plan: true
        }
    }

    func request(at index: Int) -> ModbusRequest {
        switch self {
        case .single(let request): request
        case .plan(let reads): .read(reads[index].table, reads[index].range)
        }
    }
}

/// How one call ended.
enum ClientOutcome: Sendable {
    /// The end of a single request.
    case single(Result<ModbusResponse, ModbusError>)
    /// The ends of a plan's requests, in its order, and what ``ClientSession/loneRoundTrip`` measured of each.
    case plan([Result<ReadData, ModbusError>], roundTrips: [Duration?])

    /// The answer to a single request.
    func single(or otherwise: ModbusError.Code) throws(ModbusError) -> ModbusResponse {
        switch self {
        case .single(let result): return try result.get()
        case .plan: throw ModbusError(otherwise)
        }
    }

    /// One result for each of a plan's `count` requests.
    func readResults(count: Int) -> [Result<ReadData, ModbusError>] {
        switch self {
        case .plan(let results, _): results
        case .single(.failure(let error)): Array(repeating: .failure(error), count: count)
        case .single(.success): Array(repeating: .failure(ModbusError(.cancelled)), count: count)
        }
    }

    /// Empty when there was no plan.
    var roundTrips: [Duration?] {
        if case .plan(_, let roundTrips) = self { roundTrips } else { [] }
    }
}
