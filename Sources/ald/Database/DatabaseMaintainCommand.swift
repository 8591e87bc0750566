import ALDCore
import ArgumentParser
import Foundation

struct DatabaseMaintainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "maintain",
        abstract: "Make partitions, bring rollups up to date and drop what is kept no longer.",
        discussion: """
            A running recorder does this every minute. By hand it is for a database
            without one, and for a backlog. Works in small steps, so nobody who
            records or reads waits for long; Ctrl-C loses nothing that was done.

            How long what is kept stands in ald_history.retention. Dropped partitions
            do not come back: --dry-run says which they are.

            EXAMPLES
              ald database maintain --dry-run
              ALD_DATABASE_URL=postgres://maintainer@db/plant ald database maintain

            EXIT STATUS
              0   everything that is due was done, or would be
              75  somebody else is at it
            """)

    @OptionGroup var options: DatabaseOptions

    @Flag(help: "Only say what would be done and dropped.")
    var dryRun = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let dryRun = dryRun
            let text = try await interruptibly {
                try await DatabaseAccess(settings: settings).withConnection(within: DatabaseAccess.noLimit) {
                    connection, deadline in
                    let now = SystemTime().wallClock
                    let plan = try await MaintenancePlan(connection, now: now, deadline: deadline)
                    return dryRun ? Self.text(plan) : try await Self.maintain(connection, plan, now, deadline)
                }
            }
            StandardStream.output.write(text)
        }
    }

    private static func maintain(
        _ connection: PostgresConnection, _ plan: MaintenancePlan, _ now: Timestamp, _ deadline: MonotonicInstant
    ) async throws -> String {
        let done = try await HistoryMaintenance.maintainToTheEnd(on: connection, now: now, deadline: deadline) {
            StandardStream.error.write(
                "\(TextTable.grouped($0.rolledUp)) of \(TextTable.counted(plan.buckets, "bucket")) summed up\n")
        }
        if done.isBusy { throw Failure(.temporary, "somebody else maintains this database; try again later") }
        return TextTable.labelled(
            [
                ("created", TextTable.counted(done.created, "partition")),
                ("summed up", TextTable.counted(done.rolledUp, "bucket") + " of five minutes"),
                ("late", TextTable.counted(done.late, "reading") + " added to the rollups"),
                ("ledger", TextTable.counted(done.pruned, "batch", plural: "batches") + " removed"),
                ("dropped", TextTable.counted(done.dropped, "partition")),
            ] + (done.hindrance.map { [("kept", $0)] } ?? []))
    }

    private static func text(_ plan: MaintenancePlan) -> String {
        let dropped = SchemaReport.column(
            "drop", plan.dropped.isEmpty ? [["nothing"]] : plan.dropped.map { [$0.name, bytes($0.bytes)] })
        return "Would:\n"
            + TextTable.labelled(
                [
                    ("create", TextTable.counted(plan.partitions, "partition")),
                    ("sum up", TextTable.counted(plan.buckets, "bucket") + " of five minutes"),
                    ("add late", TextTable.counted(plan.late, "reading")),
                    ("remove", TextTable.counted(plan.ledgerRows, "batch", plural: "batches") + " from the ledger"),
                ] + dropped + (plan.hindrance.map { [("keep", $0)] } ?? []))
    }

    private static func bytes(_ count: Int64) -> String {
        ByteCountFormatter.string(fromByteCount: count, countStyle: .decimal)
    }
}
