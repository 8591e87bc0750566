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
        let known = try await connection.query(
            """
            INSERT INTO ald.machines (machine_id, name) VALUES ($1, $2)
            ON CONFLICT (machine_id) DO UPDATE SET name = ald.machines.name RETURNING name
            """, [.int4(machine), .text(name)], deadline: deadline)
        if let other = try known.first?.decode(0, as: String.self), other != name {
            throw Conflict(
                description: "machine \(machine) is called \"\(other)\" in this database and \"\(name)\" here; "
                    + "give this machine a number of its own, or its old name")
        }
        let renamed = try await connection.query(
            """
            SELECT p.parameter_id, p.component || '.' || p.name, n.component || '.' || n.name
            FROM ald.component_parameters p
            JOIN unnest($2, $3, $4) n(parameter_id, component, name) USING (parameter_id)
            WHERE p.machine_id = $1 AND (p.component, p.name) <> (n.component, n.name)
            ORDER BY 1 LIMIT 1
            """,
            [
                .int4(machine), .int4Array(entries.map(\.id)), .textArray(entries.map(\.component)),
                .textArray(entries.map(\.name)),
            ], deadline: deadline)
        if let row = renamed.first {
            throw Conflict(
                description: "parameter \(try row.decode(0, as: Int32.self)) of machine \(machine) is "
                    + "\"\(try row.decode(1, as: String.self))\" in this database and "
                    + "\"\(try row.decode(2, as: String.self))\" in the register map; "
                    + "a number is never given to another parameter, use a new one")
        }
        try await upsertEntries(connection, deadline: deadline)
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
