import ALDCore

/// Brings rows of a machine's history into the table `reading`, the same rows that the other candidates hold.
struct RowLoad {
    private struct Reading {
        var machine: Int32
        var parameter: Int32
        var time: Timestamp
        var value: Double
        var quality: Int16
    }

    /// Midnight of 2026-11-22, UTC.
    private static let start: Int64 = 1_795_305_600_000_000
    private static let copy =
        "COPY reading (machine_id, parameter_id, sampled_at, value, quality) FROM STDIN (FORMAT binary)"

    private let readings: [Reading]

    init(rows: Int) {
        readings = (0..<rows).map { (number: Int) -> Reading in
            let time = Timestamp(microseconds: Self.start + Int64(number) * 1000)
            let parameter = Int32(number % 51 + 1)
            return Reading(machine: 1, parameter: parameter, time: time, value: Double(number) * 0.5, quality: 192)
        }
    }

    func copyOnce() async throws {
        let connection = try await Target.connect()
        try await Measurement.once { try await copyRows(connection) }
        await connection.close()
    }

    func copyColumnsOnce() async throws {
        let connection = try await Target.connect()
        let columns: [PostgresValue] =
            [.int4Array(readings.map(\.machine))] + arrays
        try await Measurement.once {
            let results = try await connection.copyIn(Self.copy, deadline: Target.time.now + .seconds(120)) { writer in
                try await writer.write(columns: columns)
            }
            return results.last?.rowsAffected ?? 0
        }
        await connection.close()
    }

    func copyRepeatedly(seconds: Double) async throws {
        let connection = try await Target.connect()
        try await Measurement.repeated(seconds: seconds) { try await copyRows(connection) }
        await connection.close()
    }

    /// One call of a function in the database, which is what the hot path of the batch writer does.
    func callRepeatedly(seconds: Double) async throws {
        let connection = try await Target.connect()
        try await Measurement.repeated(seconds: seconds) {
            let result = try await connection.query(
                "SELECT apply_readings($1, $2, $3, $4)", arrays, deadline: Target.time.now + .seconds(10))
            return Int(try result.first?.decode(0, as: Int32.self) ?? 0)
        }
        await connection.close()
    }

    private func copyRows(_ connection: PostgresConnection) async throws -> Int {
        let results = try await connection.copyIn(Self.copy, deadline: Target.time.now + .seconds(120)) { writer in
            try await writer.write(readings) { reading, row in
                row.append(reading.machine)
                row.append(reading.parameter)
                try row.append(reading.time)
                row.append(reading.value)
                row.append(reading.quality)
            }
        }
        return results.last?.rowsAffected ?? 0
    }

    /// The columns but the machine, made anew for every call: that is a part of the work.
    private var arrays: [PostgresValue] {
        [
            .int4Array(readings.map(\.parameter)), .timestamptzArray(readings.map(\.time)),
            .float8Array(readings.map(\.value)), .int2Array(readings.map(\.quality)),
        ]
    }
}
