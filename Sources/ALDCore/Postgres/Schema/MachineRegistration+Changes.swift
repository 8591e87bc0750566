extension MachineRegistration {
    /// What the database says now.
    struct Known: Hashable, Sendable {
        /// Name of the machine with our number; `nil` when there is none.
        var name: String?
        /// Number of another machine with our name.
        var namesake: Int32?
        var entries: [Entry] = []
    }

    /// What registering does to the database.
    public struct Changes: Hashable, Sendable {
        /// One property of a parameter that gets another value.
        public struct Difference: Hashable, Sendable {
            /// Component and name, joined by a dot.
            public var parameter: String
            /// The column of `component_parameters`.
            public var property: String
            public var old: String
            public var new: String
        }

        public var isNewMachine: Bool
        /// Parameters that are new, by component and name.
        public var added: [String]
        public var differences: [Difference]
        /// Parameters the database has and the registration has not. They stay, for the sake of their history.
        public var absent: [String]

        /// Whether there is nothing to write.
        public var isEmpty: Bool { !hasAdditions && differences.isEmpty }

        var hasAdditions: Bool { isNewMachine || !added.isEmpty }
    }

    /// - Throws: ``Conflict``.
    func changes(to known: Known) throws(Conflict) -> Changes {
        try refuseOtherMachine(known)
        var byID: [Int32: Entry] = [:]
        var byName: [String: Entry] = [:]
        for entry in known.entries {
            byID[entry.id] = entry
            byName[entry.qualifiedName] = entry
        }
        var changes = Changes(isNewMachine: known.name == nil, added: [], differences: [], absent: [])
        for entry in entries {
            if let other = byID[entry.id] ?? byName[entry.qualifiedName] {
                try refuseOtherParameter(entry, other)
                changes.differences += entry.differences(from: other)
            } else {
                changes.added.append(entry.qualifiedName)
            }
        }
        let ours = Set(entries.map(\.id))
        changes.absent = known.entries.filter { !ours.contains($0.id) }.map(\.qualifiedName)
        return changes
    }

    private func refuseOtherMachine(_ known: Known) throws(Conflict) {
        if let other = known.namesake {
            throw Conflict(
                description: "machine \"\(name)\" has number \(other) in this database and \(machine) here; "
                    + "use its number (ALD_MACHINE_ID), or give this machine a name of its own (ALD_MACHINE_NAME)")
        }
        if let other = known.name, other != name {
            throw Conflict(
                description: "machine \(machine) is called \"\(other)\" in this database and \"\(name)\" here; "
                    + "give this machine a number of its own (ALD_MACHINE_ID), or its old name (ALD_MACHINE_NAME)")
        }
    }

    private func refuseOtherParameter(_ entry: Entry, _ other: Entry) throws(Conflict) {
        guard entry.id != other.id || entry.component != other.component || entry.name != other.name else { return }
        throw Conflict(
            description: "machine \(machine) has parameter \(other.id) \"\(other.qualifiedName)\" in this database, "
                + "and the register map has \(entry.id) \"\(entry.qualifiedName)\"; "
                + "number and name of a parameter never change, give the new one a number and a name of its own")
    }

    func known(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> Known {
        var known = Known()
        let machines = try await connection.query(
            "SELECT machine_id, name FROM ald.machines WHERE machine_id = $1 OR name = $2",
            [.int4(machine), .text(name)], deadline: deadline)
        for row in machines {
            let id = try row.decode(0, as: Int32.self)
            if id == machine { known.name = try row.decode(1, as: String.self) } else { known.namesake = id }
        }
        let parameters = try await connection.query(
            """
            SELECT parameter_id, component, name, unit, data_type, min_value, max_value, read_location, write_location
            FROM ald.component_parameters WHERE machine_id = $1 ORDER BY parameter_id
            """, [.int4(machine)], deadline: deadline)
        for row in parameters {
            known.entries.append(
                Entry(
                    id: try row.decode(0, as: Int32.self), component: try row.decode(1, as: String.self),
                    name: try row.decode(2, as: String.self), unit: try row.decode(3, as: String.self),
                    dataType: try row.decode(4, as: String.self), minimum: try row.decode(5, as: Double.self),
                    maximum: try row.decode(6, as: Double.self), readLocation: try row.decode(7, as: String.self),
                    writeLocation: try row.decode(8, as: String?.self)))
        }
        return known
    }
}

extension MachineRegistration.Entry {
    /// The name people type, for instance "Chamber Heater.temperature".
    var qualifiedName: String { "\(component).\(name)" }

    fileprivate func differences(from other: Self) -> [MachineRegistration.Changes.Difference] {
        let properties: [(String, String, String)] = [
            ("unit", other.unit, unit), ("data_type", other.dataType, dataType),
            ("min_value", "\(other.minimum)", "\(minimum)"), ("max_value", "\(other.maximum)", "\(maximum)"),
            ("read_location", other.readLocation, readLocation),
            ("write_location", other.writeLocation ?? "", writeLocation ?? ""),
        ]
        return properties.filter { $0.1 != $0.2 }.map {
            .init(parameter: qualifiedName, property: $0.0, old: $0.1, new: $0.2)
        }
    }
}
