/// One statement with its parameters, as a value: for pipelines.
public struct PostgresStatement: Hashable, Sendable {
    public var sql: String
    /// The values of `$1`, `$2`, …
    public var parameters: [PostgresValue]

    public init(_ sql: String, _ parameters: [PostgresValue] = []) {
        self.sql = sql
        self.parameters = parameters
    }
}
