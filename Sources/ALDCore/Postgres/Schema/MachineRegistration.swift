/// What the database must know about a machine before rows about it make sense.
public struct MachineRegistration: Sendable {
    /// One parameter as `component_parameters` describes it.
    public struct Entry: Hashable, Sendable {
        public var id: Int32
        public var component: String
        public var name: String
        public var unit: String
        public var dataType: String
        public var minimum: Double
        public var maximum: Double
        public var readLocation: String
        public var writeLocation: String?

        public init(
            id: Int32, component: String, name: String, unit: String, dataType: String, minimum: Double,
            maximum: Double, readLocation: String, writeLocation: String?
        ) {
            self.id = id
            self.component = component
            self.name = name
            self.unit = unit
            self.dataType = dataType
            self.minimum = minimum
            self.maximum = maximum
            self.readLocation = readLocation
            self.writeLocation = writeLocation
        }
    }

    /// The key of every row this machine produces.
    public var machine: Int32
    public var name: String
    public var entries: [Entry]

    public init(machine: Int32, name: String, entries: [Entry]) {
        self.machine = machine
        self.name = name
        self.entries = entries
    }

    /// The database knows this machine, or one of its numbers, as something else.
    public struct Conflict: Error, Sendable, CustomStringConvertible {
        public var description: String
    }

    /// Creates or updates the machine's rows, in one transaction; writes nothing when they are as they should be, so
    /// a collector that may only read them can call it, too.
    ///
    /// - Parameters:
    ///   - updatesExisting: with false only what is missing is added. Parameters that the database has stay as they
    ///     are, so that limits an operator has tightened are not widened by the next start of a collector.
    ///   - reason: Why, for the audit log.
    /// - Returns: What was changed; without `updatesExisting` the differences are those that were left alone.
    /// - Throws: ``Conflict`` when the machine's number, or a parameter's number, already means something else in this
    ///   database: recorded history would change its meaning.
    @discardableResult
    public func register(
        _ connection: PostgresConnection, updatesExisting: Bool = true, reason: String = "register map",
        deadline: MonotonicInstant
    ) async throws -> Changes {
        let expected = try changes(to: try await known(connection, deadline: deadline))
        if expected.isEmpty || (!updatesExisting && !expected.hasAdditions) { return expected }
        return try await connection.inTransaction(deadline: deadline) {
            let isNew = try await lock(connection, reason: reason, deadline: deadline)
            // Looked at again, now that nobody else can change it.
            var made = try changes(to: try await known(connection, deadline: deadline))
            made.isNewMachine = isNew
            try await write(connection, updatesExisting: updatesExisting, deadline: deadline)
            return made
        }
    }

    /// Looks, and writes nothing. Every version of the schema can be asked.
    ///
    /// - Throws: ``Conflict``
    func refuseConflict(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        _ = try changes(to: try await known(connection, deadline: deadline))
    }

    /// Creates the machine's row and holds it until the transaction ends: two registrations take turns.
    ///
    /// - Returns: Whether the row is new; only a row that was there before has a transaction that locked it.
    private func lock(
        _ connection: PostgresConnection, reason: String, deadline: MonotonicInstant
    ) async throws -> Bool {
        _ = try await connection.query(
            "SELECT set_config('ald.reason', $1, true)", [.text(reason)], deadline: deadline)
        // Whichever of its keys another one has entered at this moment: that one is waited for.
        let made = try await connection.query(
            "INSERT INTO ald.machines (machine_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING machine_id",
            [.int4(machine), .text(name)], deadline: deadline)
        guard made.isEmpty else { return true }
        _ = try await connection.query(
            "SELECT FROM ald.machines WHERE machine_id = $1 FOR NO KEY UPDATE", [.int4(machine)], deadline: deadline)
        return false
    }

    private func write(
        _ connection: PostgresConnection, updatesExisting: Bool, deadline: MonotonicInstant
    ) async throws {
        _ = try await connection.query(
            """
            INSERT INTO ald.machine_components (machine_id, name) SELECT DISTINCT $1::int, c FROM unnest($2) c
            ON CONFLICT (machine_id, name) DO NOTHING
            """, [.int4(machine), .textArray(entries.map(\.component))], deadline: deadline)
        _ = try await connection.query(
            """
            INSERT INTO ald.component_parameters AS p (machine_id, parameter_id, component, name, unit, data_type,
                min_value, max_value, read_location, write_location)
            SELECT $1, n.* FROM (
                SELECT id, component, name, unit, data_type, min_value, max_value, read_location,
                       nullif(write_location, '')
                FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) u(id, component, name, unit, data_type, min_value,
                    max_value, read_location, write_location)) n
            ON CONFLICT (machine_id, parameter_id) DO UPDATE SET unit = excluded.unit,
                data_type = excluded.data_type, min_value = excluded.min_value, max_value = excluded.max_value,
                read_location = excluded.read_location, write_location = excluded.write_location,
                updated_at = clock_timestamp()
            WHERE $11 AND (p.unit, p.data_type, p.min_value, p.max_value, p.read_location, p.write_location)
                IS DISTINCT FROM (excluded.unit, excluded.data_type, excluded.min_value, excluded.max_value,
                 excluded.read_location, excluded.write_location)
            """,
            [
                .int4(machine), .int4Array(entries.map(\.id)), .textArray(entries.map(\.component)),
                .textArray(entries.map(\.name)), .textArray(entries.map(\.unit)),
                .textArray(entries.map(\.dataType)), .float8Array(entries.map(\.minimum)),
                .float8Array(entries.map(\.maximum)), .textArray(entries.map(\.readLocation)),
                .textArray(entries.map { $0.writeLocation ?? "" }), .bool(updatesExisting),
            ], deadline: deadline)
    }
}
