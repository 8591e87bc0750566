import ALDTestKit
import Testing

@testable import ALDCore

/// Databases with dead letters in them.
enum LetterFixture {
    static let machine: Int32 = 3
    static let origin: Int64 = 0x2a
    /// 2024-01-10T00:26:40Z.
    static let day = Timestamp(microseconds: 1_704_846_400_000_000)
    static let ann = DeadLetterQueue.Author(name: "ann", reason: "because")

    static func name(_ number: Int64) -> DeadLetterName {
        DeadLetterName(machine: machine, batch: BatchID(origin: origin, number: number), row: 0)
    }

    static func reading(_ value: Double?, second: Int = 0, _ quality: Quality = .good) -> Records {
        .history([
            HistoryRow(
                parameter: ParameterID(rawValue: 1), time: day.advanced(by: .seconds(second)), value: value,
                quality: value == nil ? .bad : quality)
        ])
    }

    /// A letter as the writer makes it of a record that a rule of the history refuses.
    static func letter(_ number: Int64, _ record: Records, rule: String = "temp_range") -> DeadLetter {
        var evidence = FaultEvidence(message: "new row violates \"\(rule)\"", sqlState: "23514")
        evidence.schema = "ald_history"
        evidence.table = "parameter_value_history_20240110"
        evidence.constraint = rule
        evidence.detail = "Failing row contains (…)."
        return DeadLetter(
            record, batch: BatchID(origin: origin, number: number), row: 0,
            refusedAt: day.advanced(by: .seconds(3600 + number)), attempts: 1, evidence: evidence)
    }

    static func batch(_ records: Records, number: Int64) -> Batch {
        let (format, bytes) = BatchCoding.encode(records)
        return Batch(
            id: BatchID(origin: 7, number: number), machine: machine, records: records,
            digest: BatchCoding.digest(machine: machine, format: format.rawValue, bytes: bytes))
    }

    static func land(_ batches: [Batch], _ connection: PostgresConnection) async throws {
        let statement = try BatchStatement(batches, recording: .synchronized)
        _ = try await connection.query(statement.text, statement.parameters, deadline: .patience)
    }

    /// Runs `body` on a database of its own with a machine, one parameter, the day's partition, the rule `temp_range`
    /// (values below 1000) and these letters.
    static func with(
        _ letters: [DeadLetter] = [],
        _ body: @Sendable (DeadLetterQueue, PostgresConnection, PostgresConfiguration) async throws -> Void
    ) async throws {
        try await SchemaDatabase.with(version: SchemaDatabase.newest) { connection, database in
            try await connection.accept(
                """
                INSERT INTO ald.machines (machine_id, name) VALUES (\(machine), 'ALD-3');
                INSERT INTO ald.machine_components (machine_id, name) VALUES (\(machine), 'Heater');
                INSERT INTO ald.component_parameters (machine_id, parameter_id, component, name, data_type, min_value,
                    max_value, read_location) VALUES (\(machine), 1, 'Heater', 'temperature', 'float', 0, 10, 'x');
                SELECT ald.ensure_history_partitions('2024-01-10', 1);
                ALTER TABLE ald_history.parameter_value_history ADD CONSTRAINT temp_range CHECK (value < 1000);
                """)
            if !letters.isEmpty { try await land([batch(.deadLetters(letters), number: 1)], connection) }
            try await body(DeadLetterQueue(connection), connection, database)
        }
    }
}
