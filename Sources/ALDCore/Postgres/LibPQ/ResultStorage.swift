import CLibPQ

/// Where rows are kept as the server sent them.
protocol RowStorage: AnyObject, Sendable {
    var columns: [PostgresColumn] { get }
    /// The value in binary format, or `nil` for null; valid as long as the storage lives.
    func bytes(row: Int, column: Int) -> UnsafeRawBufferPointer?
}

extension RowStorage {
    func position(ofColumn name: String) -> Int? {
        columns.firstIndex { $0.name == name }
    }
}

/// Owns one `PGresult` and reads from it.
///
/// `@unchecked Sendable` is sound because the object is created from a complete result that nobody else refers to, libpq's
/// accessors used here only read it, and it is freed when the last reference is gone.
final class ResultStorage: RowStorage, @unchecked Sendable {
    private let pointer: OpaquePointer
    let rowCount: Int
    let columns: [PostgresColumn]

    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        rowCount = Int(PQntuples(pointer))
        columns = (0..<PQnfields(pointer)).map { index in
            // The simple protocol sends every value as its text.
            let isText = PQfformat(pointer, index) == 0
            return PostgresColumn(
                name: PQfname(pointer, index).map { String(cString: $0) } ?? "",
                type: isText ? .text : PostgresType(rawValue: PQftype(pointer, index)))
        }
    }

    deinit {
        PQclear(pointer)
    }

    var commandTag: String { PQcmdStatus(pointer).map { String(cString: $0) } ?? "" }

    var rowsAffected: Int { PQcmdTuples(pointer).flatMap { Int(String(cString: $0)) } ?? 0 }

    func bytes(row: Int, column: Int) -> UnsafeRawBufferPointer? {
        let (row, column) = (Int32(row), Int32(column))
        guard PQgetisnull(pointer, row, column) == 0, let start = PQgetvalue(pointer, row, column) else { return nil }
        return UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(pointer, row, column)))
    }

    // MARK: COPY

    /// Whether the data of the COPY that this result begins are in the binary format.
    var isBinaryCopy: Bool { PQbinaryTuples(pointer) == 1 }

    /// Columns of the COPY that this result begins.
    var copyColumnCount: Int { Int(PQnfields(pointer)) }
}
