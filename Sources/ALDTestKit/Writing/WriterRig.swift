public import ALDCore
public import Logging

/// A batch writer with everything below it, in this process: spool, sink, pool, and a database of the caller's choice
/// that a test may disturb.
public struct WriterRig: Sendable {
    public struct Options: Sendable {
        /// Holds the spool; must exist.
        public var directory: String
        public var database: PostgresConfiguration
        public var machine: Int32 = 1
        public var spool = Spool.Configuration()
        public var pool = PoolConfiguration()
        public var writer = BatchWriter.Configuration()
        public var recording = PostgresSink.Recording.synchronized
        /// From so many rows on a delivery is copied.
        public var copiedRows = PostgresSink.copiedRows
        /// As in ``NumberedRecords``.
        public var poisonEvery: Int64 = 0
        /// So many of the parameters of ``NumberedRecords`` the writer's machine does not know.
        public var strangers = 0
        public var time: any TimeSource = SystemTime()
        public var logger = TestDatabase.quiet
        /// Puts something between writer and sink.
        public var around: @Sendable (any BatchSink) -> any BatchSink = { $0 }

        /// Small and impatient, so that a test sees every limit and waits for nothing.
        public init(directory: String, database: PostgresConfiguration) {
            self.directory = directory
            self.database = database
            spool.segmentBytes = 262_144
            spool.freeSpaceFloor = 0
            spool.ballastBytes = 65_536
            spool.spareBytes = 65_536
            spool.unsavedAcknowledgements = 50
            pool.initialBackoff = .milliseconds(10)
            pool.maximumBackoff = .milliseconds(100)
            pool.saturationCooldown = .milliseconds(100)
            writer.backoff = Backoff.Configuration(base: .milliseconds(10), cap: .milliseconds(100))
            writer.breaker.openTime = writer.backoff
            writer.hold = .milliseconds(100)
            // Whoever wants to see that nothing is given up does not want to see how seldom it is tried.
            writer.retryBudget.capacity = 1000
        }
    }

    public let options: Options
    public let spool: Spool
    public let pool: ConnectionPool
    public let writer: BatchWriter
    public let promises: Promises

    /// Runs a writer while `body` runs, then stops it as a crash would: what has not landed stays in the spool.
    public static func run<Result>(
        _ options: Options, promises: Promises, _ body: (WriterRig) async throws -> Result
    ) async throws -> Result {
        let spool = try Spool(
            directory: options.directory, configuration: options.spool, time: options.time,
            logger: options.logger)
        return try await withCleanup {
            let pool = try ConnectionPool(
                configuration: options.database, pool: options.pool, time: options.time, logger: options.logger)
            let sink = PostgresSink(
                pool: pool,
                registration: NumberedRecords.registration(machine: options.machine, without: options.strangers),
                recording: options.recording, copiedRows: options.copiedRows,
                failPoints: options.writer.failPoints, time: options.time, logger: options.logger)
            var configuration = options.writer
            configuration.flushTimeout = .zero
            let writer = try BatchWriter(
                spool: spool, sink: options.around(sink), configuration: configuration, time: options.time,
                logger: options.logger)
            let rig = WriterRig(options: options, spool: spool, pool: pool, writer: writer, promises: promises)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                group.addTask { try await writer.run() }
                let result: Swift.Result<Result, any Error>
                do {
                    result = .success(try await body(rig))
                } catch {
                    result = .failure(error)
                }
                group.cancelAll()
                try await group.waitForAll()
                return try result.get()
            }
        } cleanup: {
            try spool.close()
        }
    }

    /// Appends the next `count` records in one call.
    ///
    /// - Returns: their numbers.
    @discardableResult public func append(
        _ count: Int = 3, kind: NumberedRecords.Kind? = nil
    ) async throws(SpoolError) -> Range<Int64> {
        let numbers = promises.take(count)
        let records = NumberedRecords.records(
            numbers, kind ?? NumberedRecords.kind(numbers), poisonEvery: options.poisonEvery)
        try await append(records, numbers: numbers)
        return numbers
    }

    /// Appends records that the caller has made, with these numbers.
    public func append(_ records: Records, numbers: Range<Int64>) async throws(SpoolError) {
        do {
            try await writer.append(records, machine: options.machine)
        } catch {
            promises.refuse(numbers)
            throw error
        }
        promises.accept(numbers)
    }

    /// Appends from several callers while `body` runs, without mercy but for a bound on what waits.
    public func withLoad<Result>(
        callers: Int = 2, rows: Int = 3, waitingAtMost limit: Int = 2000, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<callers {
                group.addTask {
                    while !Task.isCancelled {
                        if writer.statistics.spooled < limit {
                            try await append(rows)
                        } else {
                            try await SystemTime().sleep(for: .milliseconds(1))
                        }
                    }
                }
            }
            let result: Swift.Result<Result, any Error>
            do {
                result = .success(try await body())
            } catch {
                result = .failure(error)
            }
            group.cancelAll()
            do {
                try await group.waitForAll()
            } catch is CancellationError {
                // It slept when it was told to end.
            }
            return try result.get()
        }
    }

    /// Appends so many times, whatever waits already: nothing but the disk may hold up acceptance.
    public func keepAccepting(_ calls: Int = 30) async throws { for _ in 0..<calls { try await append() } }

    /// Waits until `count` more records have landed than now.
    public func landMore(_ count: Int = 50, within limit: Duration = .seconds(30)) async throws {
        let before = writer.statistics.landed
        try await eventually("\(count) more land; \(writer.statistics)", within: limit) {
            writer.statistics.landed >= before + count
        }
    }

    /// Waits until nothing is in the spool and the database has forgotten nothing.
    ///
    /// - Parameter onHundredth: told how many records are left, each time another hundredth of them has landed.
    public func drain(within limit: Duration = .seconds(60), onHundredth: (Int) -> Void = { _ in }) async throws {
        let all = writer.statistics.spooled
        var told = all
        try await eventually("the spool is empty; in the end \(writer.statistics)", within: limit) {
            let statistics = writer.statistics
            if told - statistics.spooled > all / 100 {
                told = statistics.spooled
                onHundredth(told)
            }
            return statistics.spooled == 0 && statistics.isReconciled
        }
        guard writer.statistics.isBalanced, spool.account.isBalanced else {
            throw NeverHappened(description: "the account does not balance: \(writer.statistics)")
        }
    }

    /// What the database has of all that was ever promised.
    public func audit(isDrained: Bool = true) async throws -> LandingAudit {
        try await LandingAudit(
            of: promises, machine: options.machine, poisonEvery: options.poisonEvery, isDrained: isDrained,
            in: options.database)
    }
}
