import Foundation

/// Our side of the comparison. `Benchmarks/Peers/postgres` starts it; what it prints is JSON for that script. Every job
/// but `serve` finds its database in `PEERS_DATABASE_URL`.
///
///     postgres-peers serve                            a private cluster until standard input ends; prints its URL
///     postgres-peers copy ROWS                        one COPY of so many rows
///     postgres-peers columns ROWS                     the same from columns
///     postgres-peers transactions ROWS SECONDS        COPY of so many rows a transaction, for that long
///     postgres-peers calls ROWS SECONDS               one function call with so many rows as arrays
///     postgres-peers trips SECONDS                    SELECT $1::int8, one after the other
///     postgres-peers writer-prepare                   the schema, for the batch writer
///     postgres-peers writer-stream ROWS SECONDS       accepted in batches of so many rows, for that long, until landed
///     postgres-peers writer-accept ROWS SECONDS       the same without a database
///     postgres-peers writer-drain ROWS TOTAL          so many rows in all from the spool into the database
///     postgres-peers writer-wait ROWS TOTAL           so many rows in the spool while there is no database
///     postgres-peers writer-latency SECONDS           one record every millisecond, for that long
///     postgres-peers breaker|retry|nothing SECONDS    a call that does nothing, through breaker, retry or alone
///     postgres-peers lease TASKS SECONDS              so many tasks on a pool of ten connections
@main
enum PostgresPeers {
    static func main() async throws {
        let words = CommandLine.arguments.dropFirst()
        let numbers = words.dropFirst().compactMap { Double($0) }
        switch (words.first, numbers.count) {
        case ("serve", 0): try await PrivateCluster.serve()
        case ("copy", 1): try await RowLoad(rows: Int(numbers[0])).copyOnce()
        case ("columns", 1): try await RowLoad(rows: Int(numbers[0])).copyColumnsOnce()
        case ("transactions", 2): try await RowLoad(rows: Int(numbers[0])).copyRepeatedly(seconds: numbers[1])
        case ("calls", 2): try await RowLoad(rows: Int(numbers[0])).callRepeatedly(seconds: numbers[1])
        case ("trips", 1): try await StatementLoad.roundTrips(seconds: numbers[0])
        case ("writer-prepare", 0): try await WriterLoad.prepare()
        case ("writer-stream", 2): try await WriterLoad(rows: Int(numbers[0])).stream(seconds: numbers[1])
        case ("writer-accept", 2): try await WriterLoad(rows: Int(numbers[0])).accept(seconds: numbers[1])
        case ("writer-drain", 2): try await WriterLoad(rows: Int(numbers[0])).drain(total: Int(numbers[1]))
        case ("writer-wait", 2): try await WriterLoad(rows: Int(numbers[0])).wait(total: Int(numbers[1]))
        case ("writer-latency", 1): try await WriterLoad.latency(seconds: numbers[0])
        case ("breaker", 1): try await GuardLoad.breaker(seconds: numbers[0])
        case ("retry", 1): try await GuardLoad.retry(seconds: numbers[0])
        case ("nothing", 1): try await GuardLoad.nothing(seconds: numbers[0])
        case ("lease", 2): try await LeaseLoad(tasks: Int(numbers[0])).run(seconds: numbers[1])
        default:
            FileHandle.standardError.write(Data("postgres-peers: started by Benchmarks/Peers/postgres\n".utf8))
            exit(64)
        }
    }
}
