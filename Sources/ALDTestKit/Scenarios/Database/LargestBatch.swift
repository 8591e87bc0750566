import ALDCore

/// The largest batch that lands before a timeout: batches grow until one does not, and of that one nothing may be left
/// behind but all of it.
struct LargestBatch: Sendable {
    /// The time in which a batch of 1000 rows has to land.
    static let timeout = Duration.seconds(1)
    /// Rows of the first batch and, at the most, of the last. 1000 are among them.
    static let sizes = 125...64_000
    /// Not an origin that a spool draws, nor the one of ``BatchEfficiency``.
    fileprivate static let origin: Int64 = 2

    /// A batch that was given up.
    struct GivenUp: Hashable, Sendable {
        var rows: Int
        /// Of them, in the table when the server was done with it.
        var landed: Int
    }

    /// Rows; 0 when not even the first landed.
    var landed = 0
    /// The size at which it ended; `nil` when all landed.
    var tooLarge: Int?
    var givenUp: [GivenUp] = []

    /// Batches of which a part has landed and the rest has not.
    var torn: Int { givenUp.count { $0.landed != 0 && $0.landed != $0.rows } }

    // MARK: Measuring

    /// Delivers larger and larger batches, one at a time.
    ///
    /// - Throws: what went wrong with a delivery other than that its time was over.
    static func measure(
        within timeout: Duration = timeout, into sink: any BatchSink, machine: Int32, promises: Promises,
        in database: PostgresConfiguration
    ) async throws -> LargestBatch {
        let time = SystemTime()
        var deliveries = Deliveries(sink: sink, machine: machine, promises: promises, database: database)
        var (largest, took) = (LargestBatch(), timeout)
        // Rows in the time of the timeout are a rate.
        var search = RateSearch(from: Double(sizes.lowerBound), upTo: Double(sizes.upperBound))
        var step = search.first
        while case .drive(let rows) = step {
            let began = time.now
            let givenUp = try await deliveries.deliver(Int(rows), within: timeout)
            if givenUp == nil { took = time.now - began }
            if let givenUp {
                largest.givenUp.append(givenUp)
                // What had no time has cost its connection: the next one is not to be timed.
                largest.givenUp += try await deliveries.deliver(1, within: .seconds(30)).map { [$0] } ?? []
            }
            step = search.driven(isKept: givenUp == nil)
        }
        if case .end(let best, let broken) = step {
            (largest.landed, largest.tooLarge) = (Int(best), broken.map { Int($0) })
        }
        // Where everything landed in time, less time than it takes shows what becomes of one that does not.
        while largest.givenUp.isEmpty, took > .milliseconds(1) {
            took = took / 4
            largest.givenUp += try await deliveries.deliver(largest.landed, within: took).map { [$0] } ?? []
        }
        return largest
    }

    func note(_ run: ScenarioRun) {
        run.note("largest batch before a timeout", count: landed)
        if let tooLarge { run.note("batch that timed out", count: tooLarge) }
        run.sometimes("a batch that was given up", !givenUp.isEmpty)
        run.note("batches given up", count: givenUp.count)
        run.note("batches that landed in part", count: torn)
    }
}

/// Numbered batches to one sink.
private struct Deliveries {
    let sink: any BatchSink
    let machine: Int32
    let promises: Promises
    let database: PostgresConfiguration
    private let time = SystemTime()
    private var number: Int64 = 0

    init(sink: any BatchSink, machine: Int32, promises: Promises, database: PostgresConfiguration) {
        (self.sink, self.machine, self.promises, self.database) = (sink, machine, promises, database)
    }

    /// - Returns: what is left of the batch when its time was over before it had landed; `nil` when it landed.
    mutating func deliver(_ rows: Int, within timeout: Duration) async throws -> LargestBatch.GivenUp? {
        let numbers = promises.take(rows)
        number += 1
        let batch = Batch(
            id: BatchID(origin: LargestBatch.origin, number: number), machine: machine,
            records: NumberedRecords.records(numbers, .history))
        let deadline = time.now + timeout
        do throws(SinkFault) {
            try await sink.apply(batch, deadline: deadline)
            promises.accept(numbers)
            return nil
        } catch {
            // Clocks are read twice.
            guard time.now >= deadline - timeout / 100 else { throw error }
        }
        let landed = try await settled(numbers)
        // What nobody was told has landed may be there, once.
        if landed == 0 { promises.refuse(numbers) } else { promises.accept(numbers) }
        return LargestBatch.GivenUp(rows: rows, landed: landed)
    }

    /// How many of these rows are in the table when no statement that could bring more of them is under way.
    private func settled(_ numbers: Range<Int64>) async throws -> Int {
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE \(TestDatabase.otherSessions) AND state <> 'idle'"
        try await eventually("the server is done with it") { try await TestDatabase.number(busy, database) == 0 }
        let (first, last) = (NumberedRecords.time(numbers.lowerBound), NumberedRecords.time(numbers.upperBound))
        return try await TestDatabase.withConnection(database) { connection, deadline in
            let result = try await connection.query(
                """
                SELECT count(*) FROM ald_history.parameter_value_history
                WHERE machine_id = $1 AND sampled_at >= $2 AND sampled_at < $3
                """, [.int4(machine), .timestamptz(first), .timestamptz(last)], deadline: deadline)
            return Int(try result.first?.decode(0, as: Int64.self) ?? 0)
        }
    }
}
