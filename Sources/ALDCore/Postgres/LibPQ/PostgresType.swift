/// A type in a PostgreSQL database, known by its object identifier.
public struct PostgresType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Object identifiers from here on belong to types a user created: enumerations, domains, extensions.
    static let firstUserDefined: UInt32 = 16384

    public static let unspecified = PostgresType(rawValue: 0)
    public static let bool = PostgresType(rawValue: 16)
    public static let bytea = PostgresType(rawValue: 17)
    public static let char = PostgresType(rawValue: 18)
    public static let name = PostgresType(rawValue: 19)
    public static let int8 = PostgresType(rawValue: 20)
    public static let int2 = PostgresType(rawValue: 21)
    public static let int4 = PostgresType(rawValue: 23)
    public static let text = PostgresType(rawValue: 25)
    public static let oid = PostgresType(rawValue: 26)
    public static let json = PostgresType(rawValue: 114)
    public static let xml = PostgresType(rawValue: 142)
    public static let float4 = PostgresType(rawValue: 700)
    public static let float8 = PostgresType(rawValue: 701)
    public static let unknown = PostgresType(rawValue: 705)
    public static let boolArray = PostgresType(rawValue: 1000)
    public static let byteaArray = PostgresType(rawValue: 1001)
    public static let int2Array = PostgresType(rawValue: 1005)
    public static let int4Array = PostgresType(rawValue: 1007)
    public static let textArray = PostgresType(rawValue: 1009)
    public static let bpchar = PostgresType(rawValue: 1042)
    public static let varchar = PostgresType(rawValue: 1043)
    public static let int8Array = PostgresType(rawValue: 1016)
    public static let float4Array = PostgresType(rawValue: 1021)
    public static let float8Array = PostgresType(rawValue: 1022)
    public static let timestamp = PostgresType(rawValue: 1114)
    public static let timestamptz = PostgresType(rawValue: 1184)
    public static let timestamptzArray = PostgresType(rawValue: 1185)
    public static let numericArray = PostgresType(rawValue: 1231)
    public static let numeric = PostgresType(rawValue: 1700)
    public static let uuid = PostgresType(rawValue: 2950)
    public static let uuidArray = PostgresType(rawValue: 2951)
    public static let void = PostgresType(rawValue: 2278)
    public static let jsonb = PostgresType(rawValue: 3802)
    public static let jsonbArray = PostgresType(rawValue: 3807)

    /// The type of arrays of this type, where this package knows it.
    public var array: PostgresType? { Self.arrays[self] }

    private static let arrays: [PostgresType: PostgresType] = [
        .bool: .boolArray, .bytea: .byteaArray, .int2: .int2Array, .int4: .int4Array, .int8: .int8Array,
        .float4: .float4Array, .float8: .float8Array, .numeric: .numericArray, .text: .textArray,
        .timestamptz: .timestamptzArray, .uuid: .uuidArray, .jsonb: .jsonbArray,
    ]

    /// The SQL name where this package knows it, else the number.
    public var description: String { Self.names[self] ?? "type \(rawValue)" }

    private static let names: [PostgresType: String] = [
        .bool: "bool", .bytea: "bytea", .char: "\"char\"", .name: "name", .int8: "int8", .int2: "int2", .int4: "int4",
        .text: "text", .oid: "oid", .json: "json", .xml: "xml", .float4: "float4", .float8: "float8",
        .unknown: "unknown", .int2Array: "int2[]", .int4Array: "int4[]", .textArray: "text[]", .bpchar: "char(n)",
        .varchar: "varchar", .int8Array: "int8[]", .float8Array: "float8[]", .timestamp: "timestamp",
        .timestamptz: "timestamptz", .timestamptzArray: "timestamptz[]", .numeric: "numeric", .uuid: "uuid",
        .void: "void", .jsonb: "jsonb", .boolArray: "bool[]", .byteaArray: "bytea[]", .float4Array: "float4[]",
        .numericArray: "numeric[]", .uuidArray: "uuid[]", .jsonbArray: "jsonb[]",
    ]
}
