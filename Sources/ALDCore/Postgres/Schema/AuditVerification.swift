/// Whether the entries of the audit are those that were written, chain by chain.
public struct AuditVerification: Sendable {
    /// The entries of one table about one machine, each bound to the one before it by a hash.
    public struct Chain: Hashable, Sendable {
        /// 0 for what belongs to no machine.
        public var machine: Int32
        /// Name of the table.
        public var name: String
        /// Entries from the first one on that are as they were written.
        public var sound: Int64
        /// The first entry that is not; `nil` when all are.
        public var firstBroken: Int64?
        /// What is wrong with it.
        public var problem: String?
        /// The hash of the last entry, as the database says: copied to where its administrator cannot reach, it shows
        /// later that the chain was not written anew. `nil` when there is no entry.
        public var head: [UInt8]?
    }

    public var chains: [Chain] = []

    public var isSound: Bool { chains.allSatisfy { $0.problem == nil } }

    /// Reads every entry, so it takes its time: about a second for fifty thousand.
    ///
    /// - Parameter machine: `nil` for all that this user sees.
    /// - Throws: `PostgresError`, with SQLSTATE 42501 for a machine that this user is no member of.
    public init(_ connection: PostgresConnection, machine: Int32? = nil, deadline: MonotonicInstant) async throws {
        let machines = try await connection.query(
            """
            SELECT m FROM (SELECT $1::int AS m UNION SELECT machine_id FROM ald.machines WHERE $1 IS NULL
                UNION SELECT machine_id FROM ald.audit_chain_heads WHERE $1 IS NULL) x WHERE m IS NOT NULL ORDER BY 1
            """, [machine.map { .int4($0) } ?? .null], deadline: deadline)
        for row in machines {
            let machine = try row.decode(0, as: Int32.self)
            let found = try await connection.query(
                """
                SELECT v.chain, v.entries, v.first_broken, v.problem, h.hash FROM ald.verify_audit($1) v
                LEFT JOIN ald.audit_chain_heads h ON h.machine_id = $1 AND h.chain = v.chain ORDER BY 1
                """, [.int4(machine)], deadline: deadline)
            chains += try found.map { row in
                Chain(
                    machine: machine, name: try row.decode(0), sound: try row.decode(1), firstBroken: try row.decode(2),
                    problem: try row.decode(3), head: try row.decode(4))
            }
        }
    }
}
