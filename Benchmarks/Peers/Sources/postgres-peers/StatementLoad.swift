import ALDCore

enum StatementLoad {
    static func roundTrips(seconds: Double) async throws {
        let connection = try await Target.connect()
        try await Measurement.repeated(seconds: seconds) {
            let result = try await connection.query(
                "SELECT $1::int8", [.int8(7)], deadline: Target.time.now + .seconds(10))
            let echo = try result.first?.decode(0, as: Int64.self)
            precondition(echo == 7, "the server echoes what it was sent")
            return 1
        }
        await connection.close()
    }
}
