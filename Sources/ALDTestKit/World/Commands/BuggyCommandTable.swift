import ALDCore

/// Stands between Terminal 3 and its table and breaks a promise, to show that somebody would notice.
struct BuggyCommandTable: ParameterCommandTable {
    let table: any ParameterCommandTable
    let bug: MachineDay.PlantedBug

    func take(limit: Int, known: Set<Int64>, deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] {
        var taken = try await table.take(limit: limit, known: known, deadline: deadline)
        // What was adopted is handed on as if nobody had begun it.
        if bug == .writesAgain { taken += try await table.adopt(deadline: deadline) }
        if bug == .outlivesDeadlines { for index in taken.indices { taken[index].remaining += .seconds(3600) } }
        return taken
    }

    func adopt(deadline: MonotonicInstant) async throws -> [CommandDesk.Taken] {
        bug == .writesAgain ? [] : try await table.adopt(deadline: deadline)
    }

    func begun(deadline: MonotonicInstant) async throws -> [Int64] { try await table.begun(deadline: deadline) }

    func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws -> Set<Int64> {
        try await table.renew(ids, deadline: deadline)
    }

    func finish(_ finished: [CommandDesk.Finished], deadline: MonotonicInstant) async throws -> Set<Int64> {
        guard bug == .claimsSuccess else { return try await table.finish(finished, deadline: deadline) }
        let claims = finished.map { end in
            var end = end
            end.ending = .succeeded(actual: 0)
            return end
        }
        return try await table.finish(claims, deadline: deadline)
    }
}
