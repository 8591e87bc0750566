import ALDCore

/// Keeps what an oven reports: on disk when `append` returns, then in PostgreSQL, exactly once.
func recordOven(into url: String, keepingRowsIn directory: String, readings: [[String: Double?]]) async throws {
    let oven = try MachineRecorder(
        url: url, directory: directory, machine: 7, name: "Oven", parameters: ["temperature", "pressure"])
    try await oven.recording { oven in  // or oven.run() in your ServiceGroup
        for reading in readings { try await oven.append(reading) }
    }
}
