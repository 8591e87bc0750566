/// A one-dimensional array of any ``PostgresScalar``, with or without nulls, as a parameter or as a column of a `COPY`.
///
/// ```swift
/// try await connection.query("SELECT unnest($1)", [.array(PostgresArray([true, nil, false]))], deadline: deadline)
/// ```
///
/// The elements are encoded once, when the array is made.
public struct PostgresArray: Hashable, Sendable {
    public let elementType: PostgresType
    /// Elements including nulls.
    public let count: Int
    let hasNulls: Bool
    /// For every element its length in 32 bits, −1 for null, and its bytes: just what both an array and a field of a
    /// binary COPY consist of.
    let elements: [UInt8]

    /// - Throws: ``PostgresError/Code/encodingFailed`` when an element cannot be represented.
    public init<Scalar: PostgresScalar>(_ values: [Scalar?]) throws(PostgresError) {
        var writer = BinaryWriter(capacity: values.count * 12)
        var hasNulls = false
        for value in values {
            guard let value else {
                hasNulls = true
                writer.append(-1 as Int32)
                continue
            }
            try value.postgresValue.encodeWithLength(into: &writer)
        }
        elementType = Scalar.postgresType
        count = values.count
        self.hasNulls = hasNulls
        elements = writer.bytes
    }

    public init<Scalar: PostgresScalar>(_ values: [Scalar]) throws(PostgresError) {
        var writer = BinaryWriter(capacity: values.count * 12)
        for value in values { try value.postgresValue.encodeWithLength(into: &writer) }
        elementType = Scalar.postgresType
        count = values.count
        hasNulls = false
        elements = writer.bytes
    }
}
