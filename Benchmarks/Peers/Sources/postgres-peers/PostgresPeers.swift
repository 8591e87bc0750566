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
        case ("lease", 2): try await LeaseLoad(tasks: Int(numbers[0])).run(seconds: numbers[1])
        default:
            FileHandle.standardError.write(Data("postgres-peers: started by Benchmarks/Peers/postgres\n".utf8))
            exit(64)
        }
    }
}
