import ArgumentParser

/// For our own tests: a process that fills a spool until it is killed, see `SpoolExercise`.
struct SpoolExerciseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "exercise-spool", shouldDisplay: false)

    @Argument var directory: String
    @Option var first: Int32 = 1
    @Option var appends = Int.max
    @Option var callers = 4
    @Flag var confirms = false

    func run() async throws {
        try await reportingFailures {
            var order = SpoolExercise.Order(directory: directory)
            (order.first, order.appends, order.callers, order.confirms) = (first, appends, callers, confirms)
            try await SpoolExercise.run(order)
        }
    }
}
