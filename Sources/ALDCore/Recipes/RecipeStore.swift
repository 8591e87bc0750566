/// The recipes of one machine in its database: by name, in versions that never change once they are released.
///
/// Every call is made over the caller's connection and throws its `PostgresError`.
public struct RecipeStore: Sendable {
    public let machine: Int32

    public init(machine: Int32) {
        self.machine = machine
    }

    /// One version of a recipe.
    public struct Version: Hashable, Sendable {
        public enum Status: String, Sendable {
            /// Can be edited, and not run.
            case draft
            /// Can be run, and not edited.
            case released
            /// Was released, and is run no more.
            case withdrawn
        }

        public var recipe: Int64
        public var name: String
        public var version: Int32
        public var status: Status
        /// What is different in it, and why.
        public var note: String
        public var createdBy: String
        public var createdAt: Timestamp
        public var releasedBy: String?
        /// Written down, loops included; not what a run comes to.
        public var steps: Int
    }

    /// Why a recipe cannot be stored or found.
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        public enum Code: Sendable {
            case notFound
            /// It cannot be stored as it is.
            case invalid
        }

        public var code: Code
        public var description: String

        package init(code: Code, description: String) {
            (self.code, self.description) = (code, description)
        }
    }

    // MARK: Writing

    /// Stores a recipe under its name, and releases it unless it shall be a draft. What is stored already as its newest
    /// version is not stored again, so a file can be imported as often as one likes.
    ///
    /// - Parameters:
    ///   - author: who answers for it, in the record and in the audit log.
    ///   - note: what is different in this version, and why.
    /// - Returns: the version that the database has of it, and whether it is new.
    /// - Throws: ``Problem`` when a time is not of whole milliseconds; the database's refusal (23514, with all reasons)
    ///   of a recipe that may not run on this machine, and then nothing is stored.
    public func store(
        _ recipe: Recipe, author: String, note: String = "", releasing: Bool = true,
        on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> (version: Version, isNew: Bool) {
        let rows = try RecipeStepRows(recipe)
        return try await connection.inTransaction(deadline: deadline) {
            _ = try await connection.query(
                "SELECT set_config('ald.acting_for', $1, true), set_config('ald.reason', $2, true)",
                [.text(author), .text(note.isEmpty ? "recipe \(recipe.name)" : note)], deadline: deadline)
            // The row is held to the end: two who import the same name take turns.
            let found = try await connection.query(
                """
                INSERT INTO ald.recipes AS r (machine_id, name, description, created_by) VALUES ($1, $2, $3, $4)
                ON CONFLICT (machine_id, name) DO UPDATE SET description = excluded.description RETURNING recipe_id
                """, [.int4(machine), .text(recipe.name), .text(recipe.description), .text(author)],
                deadline: deadline)
            guard let id = try found.first?.decode(0, as: Int64.self) else {
                throw Problem(code: .invalid, description: "recipe \(recipe.name) could not be stored")
            }
            let newest = try await versions(of: recipe.name, on: connection, deadline: deadline).first
            if let newest, newest.status != .withdrawn,
                try await load(newest, on: connection, deadline: deadline).steps == recipe.steps
            {
                if newest.status == .draft, releasing {
                    try await release(newest, author: author, on: connection, deadline: deadline)
                    return (try await version(id, newest.version, connection, deadline), false)
                }
                return (newest, false)
            }
            let number = (newest?.version ?? 0) + 1
            _ = try await connection.query(
                """
                INSERT INTO ald.recipe_versions (machine_id, recipe_id, version, note, created_by)
                VALUES ($1, $2, $3, $4, $5)
                """, [.int4(machine), .int8(id), .int4(number), .text(note), .text(author)], deadline: deadline)
            _ = try await connection.query(
                RecipeStepRows.insertion, [.int4(machine), .int8(id), .int4(number)] + (try rows.columns()),
                deadline: deadline)
            let stored = try await version(id, number, connection, deadline)
            guard releasing else { return (stored, true) }
            try await release(stored, author: author, on: connection, deadline: deadline)
            return (try await version(id, number, connection, deadline), true)
        }
    }

    /// Makes a draft what can be run, and what never changes from then on.
    public func release(
        _ version: Version, author: String, on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        _ = try await connection.query(
            """
            UPDATE ald.recipe_versions SET status = 'released', released_by = $4
            WHERE machine_id = $1 AND recipe_id = $2 AND version = $3 AND status = 'draft'
            """, [.int4(machine), .int8(version.recipe), .int4(version.version), .text(author)], deadline: deadline)
    }

    // MARK: Reading

    /// All versions, those of a recipe together, the newest first.
    ///
    /// - Parameter name: of one recipe; `nil`: of all, in the order of their names.
    public func versions(
        of name: String? = nil, on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> [Version] {
        let result = try await connection.query(
            Self.selection + " AND ($2::text IS NULL OR r.name = $2) ORDER BY r.name, v.version DESC",
            [.int4(machine), name.map(PostgresValue.text) ?? .null], deadline: deadline)
        return try result.map(Self.version)
    }

    /// The version to run: the newest that is released, or the one with this number, whatever its status.
    ///
    /// - Throws: ``Problem`` with code `notFound`.
    public func version(
        named name: String, _ number: Int32? = nil, on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> Version {
        let all = try await versions(of: name, on: connection, deadline: deadline)
        if let found = all.first(where: {
            number.map { [found = $0] in found.version == $0 } ?? ($0.status == .released)
        }) {
            return found
        }
        let names = Set(try await versions(on: connection, deadline: deadline).map(\.name)).sorted()
        throw Problem(
            code: .notFound,
            description: all.isEmpty
                ? "no recipe is called \"\(name)\"; there are: \(names.isEmpty ? "none" : names.joined(separator: ", "))"
                : "recipe \"\(name)\" has no \(number.map { "version \($0)" } ?? "released version")")
    }

    /// The recipe as it was stored, to the last bit.
    ///
    /// - Throws: ``Problem`` with code `notFound`.
    public func load(
        _ version: Version, on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> Recipe {
        try await load(recipe: version.recipe, version: version.version, on: connection, deadline: deadline)
    }

    func load(
        recipe id: Int64, version: Int32, on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> Recipe {
        let head = try await connection.query(
            "SELECT name, description FROM ald.recipes WHERE machine_id = $1 AND recipe_id = $2",
            [.int4(machine), .int8(id)], deadline: deadline)
        guard let row = head.first else {
            throw Problem(code: .notFound, description: "machine \(machine) has no recipe \(id)")
        }
        let steps = try await connection.query(
            RecipeStepRows.selection, [.int4(machine), .int8(id), .int4(version)], deadline: deadline)
        return Recipe(
            name: try row.decode(0), description: try row.decode(1), steps: try RecipeStepRows.steps(from: steps))
    }

    private func version(
        _ recipe: Int64, _ number: Int32, _ connection: PostgresConnection, _ deadline: MonotonicInstant
    ) async throws -> Version {
        let result = try await connection.query(
            Self.selection + " AND r.recipe_id = $2 AND v.version = $3",
            [.int4(machine), .int8(recipe), .int4(number)],
            deadline: deadline)
        guard let row = result.first else {
            throw Problem(code: .notFound, description: "recipe \(recipe) has no version \(number)")
        }
        return try Self.version(row)
    }

    private static let selection = """
        SELECT r.recipe_id, r.name, v.version, v.status, v.note, v.created_by, v.created_at, v.released_by,
            (SELECT count(*) FROM ald.recipe_steps s WHERE s.machine_id = v.machine_id AND s.recipe_id = v.recipe_id
                AND s.version = v.version)
        FROM ald.recipe_versions v JOIN ald.recipes r USING (machine_id, recipe_id) WHERE r.machine_id = $1
        """

    private static func version(_ row: PostgresRow) throws -> Version {
        let status: String = try row.decode(3)
        return Version(
            recipe: try row.decode(0), name: try row.decode(1), version: try row.decode(2),
            status: Version.Status(rawValue: status) ?? .withdrawn, note: try row.decode(4),
            createdBy: try row.decode(5), createdAt: try row.decode(6), releasedBy: try row.decode(7),
            steps: Int(try row.decode(8, as: Int64.self)))
    }
}
