public import ALDCore
import Foundation
import Synchronization

/// A batch writer in a process of its own, which a test kills. What it has been promised it says on standard output, a
/// line each, at once.
public enum WriterExercise {
    /// What the process is told; see ``arguments``.
    public struct Order: Sendable {
        public var directory: String
        public var machine: Int32 = 1
        /// The number of the first record.
        public var first: Int64 = 1
        /// How many calls of `append` altogether; 0: only what an earlier process has left is sent.
        public var appends: Int = .max
        /// Records in one call.
        public var rows = 3
        public var callers = 3
        public var poisonEvery: Int64 = 0
        /// Whether confirmed batches are deleted at once instead of after a day.
        public var forgets = false
        /// The process ends when it passes this place …
        package var failPoint: FailPoint?
        /// … for the so many-th time; without a place, when it passes the so many-th of all.
        public var count = 0
        /// It does not end there but stops, as by `kill -STOP`.
        public var stops = false
        /// Or so long after a delivery has begun, in microseconds.
        public var duringSend: Int?
        /// When the spool begins another file.
        public var segmentBytes: Int64 = 327_680
        /// How much may wait before the callers rest, in records.
        public var waitingAtMost = 600
        /// How long what waits may take to land after the last append, in seconds.
        public var landsWithin = 300

        public init(directory: String) {
            self.directory = directory
        }

        /// For the hidden command.
        public var arguments: [String] {
            var words = ["exercise-writer", directory]
            words += ["--machine", "\(machine)", "--first", "\(first)", "--appends", "\(appends)", "--rows", "\(rows)"]
            words += ["--callers", "\(callers)", "--poison-every", "\(poisonEvery)", "--count", "\(count)"]
            words += ["--waiting-at-most", "\(waitingAtMost)", "--segment-bytes", "\(segmentBytes)"]
            words += ["--lands-within", "\(landsWithin)"]
            if forgets { words.append("--forgets") }
            if stops { words.append("--stops") }
            if let failPoint { words += ["--fail-point", failPoint.rawValue] }
            if let duringSend { words += ["--during-send", "\(duringSend)"] }
            return words
        }
    }

    /// Lines: `opened CARRIED-OVER`, `accepted FIRST COUNT`, `refused FIRST CODE`, `stuck …`, `left N` for every hundredth of
    /// what has to land after the last append, and at the end
    /// `done balanced|unbalanced landed N letters N resurrected N lost N`.
    public static func run(_ order: Order, database: PostgresConfiguration) async throws {
        var options = WriterRig.Options(directory: order.directory, database: database)
        options.machine = order.machine
        options.poisonEvery = order.poisonEvery
        options.copiedRows = 20
        options.spool.segmentBytes = order.segmentBytes
        options.spool.spareBytes = 32_768
        options.spool.ballastBytes = 16_384
        options.spool.unsavedAcknowledgements = 20
        if order.forgets { options.spool.retainedWindow = .zero }
        let death = Death(order)
        options.spool.failPoints = FailPoints { death.pass($0) }
        options.writer.failPoints = options.spool.failPoints
        if let delay = order.duringSend {
            options.around = { DyingSink(sink: $0, delay: .microseconds(delay), count: max(1, order.count)) }
        }
        try await WriterRig.run(options, promises: Promises()) { rig in
            say("opened \(rig.writer.statistics.carriedOver)")
            await withTaskGroup(of: Void.self) { group in
                for caller in 0..<order.callers {
                    group.addTask {
                        for index in stride(from: caller, to: order.appends, by: order.callers) {
                            await append(index, order, rig.writer)
                        }
                    }
                }
            }
            try await rig.drain(within: .seconds(order.landsWithin)) { say("left \($0)") }
            let end = rig.writer.statistics
            say(
                "done balanced landed \(end.landed) letters \(end.deadLettered) resurrected \(end.resurrected) "
                    + "lost \(end.lost)")
        }
    }

    private static func append(_ index: Int, _ order: Order, _ writer: BatchWriter) async {
        let first = order.first + Int64(index) * Int64(order.rows)
        let numbers = first..<first + Int64(order.rows)
        let records = NumberedRecords.records(
            numbers, NumberedRecords.kind(numbers), poisonEvery: order.poisonEvery)
        do {
            var rests = 0
            while writer.statistics.spooled > order.waitingAtMost {
                try await SystemTime().sleep(for: .milliseconds(1))
                rests += 1
                // For whoever has to find out why.
                if rests == 5000 { say("stuck \(writer.statistics)") }
            }
            try await writer.append(records, machine: order.machine)
            say("accepted \(first) \(order.rows)")
        } catch let error as SpoolError {
            say("refused \(first) \(error.code)")
        } catch {
            say("refused \(first) \(error)")
        }
    }

    private static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }

    /// Ends or stops the process at the place that was ordered, by signals that it cannot heed.
    private final class Death: Sendable {
        private let place: FailPoint?
        private let count: Int
        private let signal: Int32
        private let passed = Mutex(0)

        init(_ order: Order) {
            place = order.failPoint
            count = order.duringSend == nil ? order.count : 0
            signal = order.stops ? SIGSTOP : SIGKILL
        }

        func pass(_ point: FailPoint) {
            guard count > 0, place == nil || place == point else { return }
            let isDue = passed.withLock { passed in
                passed += 1
                return passed == count
            }
            if isDue { kill(getpid(), signal) }
        }
    }

    /// Ends the process while a delivery is under way.
    private struct DyingSink: ForwardingSink {
        let sink: any BatchSink
        let delay: Duration
        let count: Int
        let deliveries = Deliveries()

        final class Deliveries: Sendable {
            let number = Mutex(0)
        }

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            let number = deliveries.number.withLock { number in
                number += 1
                return number
            }
            guard number == count else { return try await sink.deliver(batches, deadline: deadline) }
            async let death: Void = die()
            let landings = try await sink.deliver(batches, deadline: deadline)
            await death
            return landings
        }

        private func die() async {
            do {
                try await SystemTime().sleep(for: delay)
            } catch {
                // The delivery has failed before.
            }
            kill(getpid(), SIGKILL)
        }
    }
}
