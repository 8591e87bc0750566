import CLibPQ

/// Owns one `PGresult` and reads from it.
///
/// `@unchecked Sendable` is sound because the object is created from a complete result that nobody else refers to, libpq's
/// accessors used here only read it, and it is freed when the last reference is gone.
final class ResultStorage: @unchecked Sendable {
    private let pointer: OpaquePointer
    let rowCount: Int
    let columns: [PostgresColumn]

    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        rowCount = Int(PQntuples(pointer))
        columns = (0..<PQnfields(pointer)).map { index in
            PostgresColumn(
                name: PQfname(pointer, index).map { String(cString: $0) } ?? "",
                type: PostgresType(rawValue: PQftype(pointer, index)))
        }
    }

    deinit {
        PQclear(pointer)
    }

    var commandTag: String { PQcmdStatus(pointer).map { String(cString: $0) } ?? "" }

    var rowsAffected: Int { PQcmdTuples(pointer).flatMap { Int(String(cString: $0)) } ?? 0 }

    func position(ofColumn name: String) -> Int? {
        columns.firstIndex { $0.name == name }
    }

    func isNull(row: Int, column: Int) -> Bool {
        PQgetisnull(pointer, Int32(row), Int32(column)) != 0
    }

    func withBytes<R, Failure: Error>(
        row: Int, column: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        let count = Int(PQgetlength(pointer, Int32(row), Int32(column)))
        let start = PQgetvalue(pointer, Int32(row), Int32(column))
        return try body(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
    }
}
