/// The numbers of a machine's parameters that are in the database, so that asking about thousands of rows costs little.
struct RegisteredParameters: Sendable {
    /// One bit for each of the usual numbers.
    private var bits: [UInt64]
    private var others: Set<Int32>

    private static let usual: Range<Int32> = 0..<65_536

    init(_ parameters: some Sequence<Int32>) {
        bits = []
        others = []
        for parameter in parameters {
            guard Self.usual.contains(parameter) else {
                others.insert(parameter)
                continue
            }
            let word = Int(parameter) >> 6
            if word >= bits.count { bits += Array(repeating: 0, count: word + 1 - bits.count) }
            bits[word] |= 1 << UInt64(parameter & 63)
        }
    }

    init(of machine: Int32, _ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let rows = try await connection.query(
            "SELECT parameter_id FROM ald.component_parameters WHERE machine_id = $1", [.int4(machine)],
            deadline: deadline)
        self.init(try rows.map { row in try row.decode(0, as: Int32.self) })
    }

    func contains(_ parameter: Int32) -> Bool {
        let word = Int(parameter) >> 6
        guard Self.usual.contains(parameter) else { return others.contains(parameter) }
        return word < bits.count && bits[word] & 1 << UInt64(parameter & 63) != 0
    }

    /// The parameters in these records that are not among them.
    func strangers(in records: Records) -> Set<Int32> {
        var found: Set<Int32> = []
        for row in records.readings ?? [] where !contains(row.parameter.rawValue) {
            found.insert(row.parameter.rawValue)
        }
        return found
    }
}
