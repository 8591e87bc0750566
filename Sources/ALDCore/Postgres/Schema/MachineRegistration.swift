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

    /// Creates or updates the machine's rows, in one transaction.
    ///
    /// - Throws: ``Conflict`` when the machine's number, or a parameter's number, already means something else in this
    ///   database: recorded history would change its meaning.
    public func register(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        try await connection.inTransaction(deadline: deadline) {
            try await refuseConflicts(connection, deadline: deadline)
            try await upsertEntries(connection, deadline: deadline)
        }
    }

    private func refuseConflicts(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let namesake = try await connection.query(
            "SELECT machine_id FROM ald.machines WHERE name = $2 AND machine_id <> $1", [.int4(machine), .text(name)],
            deadline: deadline)
        if let other = try namesake.first?.decode(0, as: Int32.self) {
            throw Conflict(
                description: "machine \"\(name)\" has number \(other) in this database and \(machine) here; "
                    + "use its number (ALD_MACHINE_ID), or give this machine a name of its own (ALD_MACHINE_NAME)")
        }
        let known = try await connection.query(
            """
            INSERT INTO ald.machines (machine_id, name) VALUES ($1, $2)
            ON CONFLICT (machine_id) DO UPDATE SET name = ald.machines.name RETURNING name
            """, [.int4(machine), .text(name)], deadline: deadline)
        if let other = try known.first?.decode(0, as: String.self), other != name {
            throw Conflict(
                description: "machine \(machine) is called \"\(other)\" in this database and \"\(name)\" here; "
                    + "give this machine a number of its own (ALD_MACHINE_ID), or its old name (ALD_MACHINE_NAME)")
        }
        let renamed = try await connection.query(
            """
            SELECT p.parameter_id, p.component || '.' || p.name, n.component || '.' || n.name, n.parameter_id
            FROM ald.component_parameters p
            JOIN unnest($2, $3, $4) n(parameter_id, component, name)
                ON (p.parameter_id = n.parameter_id) <> ((p.component, p.name) = (n.component, n.name))
            WHERE p.machine_id = $1
            ORDER BY 1 LIMIT 1
            """,
            [
                .int4(machine), .int4Array(entries.map(\.id)), .textArray(entries.map(\.component)),
                .textArray(entries.map(\.name)),
            ], deadline: deadline)
        if let row = renamed.first {
            throw Conflict(
                description: "machine \(machine) has parameter \(try row.decode(0, as: Int32.self)) "
                    + "\"\(try row.decode(1, as: String.self))\" in this database, and the register map has "
                    + "\(try row.decode(3, as: Int32.self)) \"\(try row.decode(2, as: String.self))\"; "
                    + "number and name of a parameter never change, give the new one a number and a name of its own")
        }
    }

    private func upsertEntries(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
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
            WHERE (p.unit, p.data_type, p.min_value, p.max_value, p.read_location, p.write_location) IS DISTINCT FROM
                (excluded.unit, excluded.data_type, excluded.min_value, excluded.max_value, excluded.read_location,
                 excluded.write_location)
            """,
            [
                .int4(machine), .int4Array(entries.map(\.id)), .textArray(entries.map(\.component)),
                .textArray(entries.map(\.name)), .textArray(entries.map(\.unit)),
                .textArray(entries.map(\.dataType)), .float8Array(entries.map(\.minimum)),
                .float8Array(entries.map(\.maximum)), .textArray(entries.map(\.readLocation)),
                .textArray(entries.map { $0.writeLocation ?? "" }),
            ], deadline: deadline)
    }
}
