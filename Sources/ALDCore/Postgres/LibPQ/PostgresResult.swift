/// What a statement returned: a collection of rows. Values are decoded when asked for; until then nothing is copied.
///
/// The memory is libpq's and is released with the last result or row that refers to it.
public struct PostgresResult: RandomAccessCollection, Sendable {
    let storage: ResultStorage

    public let startIndex = 0
    public let endIndex: Int

    init(_ storage: ResultStorage) {
        self.storage = storage
        endIndex = storage.rowCount
    }

    public subscript(position: Int) -> PostgresRow { PostgresRow(storage: storage, index: position) }

    /// The columns in order. Empty for a statement that returns no rows.
    public var columns: [PostgresColumn] { storage.columns }

    /// What the server says it did, for instance `INSERT 0 3`. Empty for an empty statement.
    public var commandTag: String { storage.commandTag }

    /// Rows inserted, updated, deleted, merged, moved, fetched, copied or selected; 0 for other statements.
    public var rowsAffected: Int { storage.rowsAffected }
}

/// A column of a result.
public struct PostgresColumn: Hashable, Sendable {
    public let name: String
    public let type: PostgresType
}

/// One row of a result.
public struct PostgresRow: Sendable {
    let storage: any RowStorage
    let index: Int

    /// The value of the column with this name; the first one if several have it.
    ///
    /// - Throws: ``PostgresError/Code/decodingFailed`` when there is no such column, it is null and `Value` is not
    ///   optional, its type does not fit, or the number does not fit into `Value`.
    public func decode<Value: PostgresDecodable>(
        _ column: String, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        guard let position = storage.position(ofColumn: column) else {
            let names = storage.columns.map(\.name).joined(separator: ", ")
            throw PostgresError(
                .decodingFailed, "the result has no column \"\(column)\", it has: \(names)", effect: .unknown)
        }
        return try decode(position, as: type)
    }

    /// The value of the column at this position, counted from 0.
    ///
    /// - Throws: ``PostgresError/Code/decodingFailed``, as the variant by name.
    public func decode<Value: PostgresDecodable>(
        _ column: Int, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        guard storage.columns.indices.contains(column) else {
            throw PostgresError(
                .decodingFailed, "the result has no column \(column), it has \(storage.columns.count)",
                effect: .unknown)
        }
        return try Value.decode(PostgresCell(storage: storage, row: index, column: column))
    }
}
