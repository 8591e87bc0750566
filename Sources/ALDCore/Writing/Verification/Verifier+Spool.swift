extension Verifier {
    /// Batches that are looked up in one call.
    private static let lookedUpAtOnce = 5000

    /// Compares what the recorder's spool remembers of this machine with the ledger and the readings, and counts what
    /// waits there.
    public func compare(
        _ inspection: SpoolInspection, with verification: inout Verification, deadline: MonotonicInstant
    ) async throws {
        verification.doubts += inspection.problems
        guard let items = inspection.items else {
            verification.spooled = inspection.status?.waitingRecords
            return try await checkLosses(inspection.losses, &verification, deadline: deadline)
        }
        let own = items.filter { $0.header.machine == verification.machine }
        verification.spooled = 0
        verification.remembered = 0
        verification.compared = 0
        var next = own[...]
        while !next.isEmpty {
            let part = next.prefix(Self.lookedUpAtOnce)
            next = next.dropFirst(part.count)
            let known = try await digests(of: part.map(\.header), verification.machine, deadline: deadline)
            for item in part { Self.judge(item, known[item.header.id], &verification) }
            let landed = part.filter { !$0.isWaiting && known[$0.header.id] == $0.header.digest }
            try await compareValues(of: landed, inspection.copies, with: &verification, deadline: deadline)
        }
        try await checkLosses(inspection.losses, &verification, deadline: deadline)
    }

    private static func judge(
        _ item: SpoolInspection.Item, _ digest: [UInt8]?, _ verification: inout Verification
    ) {
        let header = item.header
        let times = header.times
        let isInRange = times.lowerBound < verification.to && times.upperBound >= verification.from
        if let digest, digest != header.digest {
            verification.add(
                .init(
                    .collision, from: times.lowerBound, to: times.upperBound, expected: header.records, found: 0,
                    "the ledger has other contents under batch \(header.id) of the spool"))
        } else if digest != nil {
            if isInRange { verification.remembered = (verification.remembered ?? 0) + header.records }
        } else if item.isWaiting {
            if isInRange { verification.spooled = (verification.spooled ?? 0) + header.records }
        } else {
            verification.add(
                .init(
                    .forgotten, from: times.lowerBound, to: times.upperBound, expected: header.records, found: 0,
                    "the database had confirmed batch \(header.id) and does not know it; the recorder sends it again"))
        }
    }

    private func digests(
        of headers: [BatchHeader], _ machine: Int32, deadline: MonotonicInstant
    ) async throws -> [BatchID: [UInt8]] {
        let result = try await connection.query(
            """
            SELECT b.origin, b.batch_number, b.sha256 FROM unnest($2, $3) u(origin, batch_number)
            JOIN ald.ingest_batches b ON b.machine_id = $1 AND b.origin = u.origin
                AND b.batch_number = u.batch_number
            """, [.int4(machine), .int8Array(headers.map(\.id.origin)), .int8Array(headers.map(\.id.number))],
            deadline: deadline)
        // A damaged spool may name a batch twice.
        return Dictionary(
            try result.map { row in
                (BatchID(origin: try row.decode(0), number: try row.decode(1)), try row.decode(2, as: [UInt8].self))
            }
        ) { first, _ in first }
    }

    /// What cannot be read on disk any more is no loss when it has landed before.
    private func checkLosses(
        _ losses: [SpoolLoss], _ verification: inout Verification, deadline: MonotonicInstant
    ) async throws {
        for loss in losses {
            var expected = 0
            var found = 0
            for range in loss.batches {
                expected += Int(range.last - range.first + 1)
                let result = try await connection.query(
                    """
                    SELECT count(DISTINCT (origin, batch_number)) FROM ald.ingest_batches
                    WHERE origin = $1 AND batch_number BETWEEN $2 AND $3
                    """, [.int8(range.origin), .int8(range.first), .int8(range.last)], deadline: deadline)
                found += Int(try result.first?.decode(0, as: Int64.self) ?? 0)
            }
            if !loss.batches.isEmpty, found == expected { continue }
            if loss.isCertain, !loss.batches.isEmpty {
                verification.add(.init(.lost, expected: expected, found: found, "\(loss)"))
            } else {
                verification.doubts.append("perhaps lost on disk: \(loss)")
            }
        }
    }
}
