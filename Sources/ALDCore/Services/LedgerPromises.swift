extension Spool {
    /// What this spool can never send again, as maintenance passes it on: for a spool whose batches are all of one
    /// machine.
    public func promises(machine: Int32) -> @Sendable () async throws -> [HistoryMaintenance.Forgotten] {
        {
            try await self.forgotten().map {
                HistoryMaintenance.Forgotten(machine: machine, origin: $0.origin, number: $0.number)
            }
        }
    }
}
