import ALDCore
import ALDTestKit
import ArgumentParser
import Foundation

/// For our own tests: a process that writes until it is killed, see `WriterExercise`. The database is the one that
/// `ALD_DATABASE_URL` names.
struct WriterExerciseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "exercise-writer", shouldDisplay: false)

    @Argument var directory: String
    @Option var machine: Int32 = 1
    @Option var first: Int64 = 1
    @Option var appends = Int.max
    @Option var rows = 3
    @Option var callers = 3
    @Option var poisonEvery: Int64 = 0
    @Option var count = 0
    @Option var failPoint: String?
    @Option var duringSend: Int?
    @Option var waitingAtMost = 600
    @Option var segmentBytes: Int64?
    @Option var landsWithin = 300
    @Flag var forgets = false
    @Flag var stops = false

    func run() async throws {
        try await reportingFailures {
            guard let url = ProcessInfo.processInfo.environment["ALD_DATABASE_URL"] else {
                throw Failure(.configuration, "ALD_DATABASE_URL names no database")
            }
            var order = WriterExercise.Order(directory: directory)
            (order.machine, order.first, order.appends, order.rows) = (machine, first, appends, rows)
            (order.callers, order.poisonEvery, order.count, order.forgets) = (callers, poisonEvery, count, forgets)
            (order.duringSend, order.waitingAtMost, order.stops) = (duringSend, waitingAtMost, stops)
            order.landsWithin = landsWithin
            if let segmentBytes { order.segmentBytes = segmentBytes }
            if let failPoint {
                guard let point = FailPoint(rawValue: failPoint) else {
                    throw Failure(.configuration, "there is no place called \(failPoint)")
                }
                order.failPoint = point
            }
            try await WriterExercise.run(order, database: try PostgresConfiguration(connectionString: url))
        }
    }
}
