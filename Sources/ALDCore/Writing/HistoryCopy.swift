/// Batches of readings of one machine as one script that copies their rows and then claims their names, in one
/// transaction.
///
/// The claim is what others wait for, so it comes when everything that has to come from this side of the link is there.
/// Whoever is second finds the name taken, and its rows go away with its transaction.
struct HistoryCopy: Sendable {
    /// Asks why these batches cannot be copied; `NULL` when they can.
    let question: (text: String, parameters: [PostgresValue])
    /// Begins a `COPY` that waits for ``columns``, and claims behind it.
    let script: String
    /// What `COPY` takes, in the order of the batches.
    let columns: [PostgresValue]

    private static let bucket: Int64 = 300_000_000

    /// - Returns: `nil` when the batches are no readings.
    init?(_ batches: [Batch], recording: PostgresSink.Recording) {
        guard let machine = batches.first?.machine else { return nil }
        var rows: [HistoryRow] = []
        rows.reserveCapacity(batches.reduce(0) { $0 + $1.records.count })
        var spans: [(first: Int64, last: Int64)] = []
        for batch in batches {
            guard let own = batch.records.readings, !own.isEmpty else { return nil }
            let times = batch.records.times
            spans.append((times.lowerBound.microseconds, times.upperBound.microseconds))
            rows += own
        }
        columns = [
            .int4Array(Array(repeating: machine, count: rows.count)), .int4Array(rows.map(\.parameter.rawValue)),
            .timestamptzArray(rows.map(\.time)), .float8Array(rows.map(\.value)),
            .int2Array(rows.map(\.quality.rawValue)),
        ]
        question = (
            "SELECT ald_history.copy_obstacle($1, $2, $3, $4, $5, $6)",
            [
                .int4(machine), .bool(recording == .synchronized), .int8Array(batches.map(\.id.origin)),
                .int8Array(batches.map(\.id.number)),
                .timestamptz(Timestamp(microseconds: spans.map(\.first).min() ?? 0)),
                .timestamptz(Timestamp(microseconds: spans.map(\.last).max() ?? 0)),
            ]
        )
        let newest = recording == .synchronized ? Self.newest(batches.sorted { $0.id < $1.id }) : []
        let arguments = [
            "\(machine)", "\(recording == .synchronized)", Self.array(batches.map(\.id.origin), "bigint"),
            Self.array(batches.map(\.id.number), "bigint"), Self.array(batches.map(\.records.count), "int"),
            Self.array(batches.map { Self.literal($0.digest) }, "bytea"), Self.array(spans.map(\.first), "bigint"),
            Self.array(spans.map(\.last), "bigint"), Self.array(Self.buckets(rows), "bigint"),
            Self.array(newest.map(\.parameter.rawValue), "int"), Self.array(newest.map(\.time.microseconds), "bigint"),
            Self.array(newest.map { $0.value.map { "'\($0)'" } ?? "NULL" }, "float8"),
            Self.array(newest.map(\.quality.rawValue), "smallint"),
        ]
        // A client whose network is cut in the middle of its rows would keep its session, and what it has begun, until the
        // server's kernel gives up, two hours by default.
        script = """
            SELECT set_config('tcp_keepalives_idle', '5', true), set_config('tcp_keepalives_interval', '5', true),
                set_config('tcp_keepalives_count', '3', true);
            COPY ald_history.parameter_value_history (machine_id, parameter_id, sampled_at, value, quality)
            FROM STDIN (FORMAT binary);
            SELECT ald_history.finish_copy(\(arguments.joined(separator: ", ")))
            """
    }

    /// The newest reading of every parameter. Of two of the same instant the later one of a batch and that of the earlier
    /// batch, as when the batches are recorded one after the other in the order of their names.
    private static func newest(_ batches: [Batch]) -> [HistoryRow] {
        var newest: [(row: HistoryRow, batch: Int)] = []
        var places: [Int32: Int] = [:]
        var place = -1
        for (number, batch) in batches.enumerated() {
            for row in batch.records.readings ?? [] {
                // Cycle after cycle brings the parameters in the same order: asking the dictionary is seldom needed.
                place = place + 1 < newest.count ? place + 1 : 0
                if newest.isEmpty || newest[place].row.parameter != row.parameter {
                    place = places[row.parameter.rawValue] ?? newest.count
                }
                if place == newest.count {
                    places[row.parameter.rawValue] = place
                    newest.append((row, number))
                } else if newest[place].row.time < row.time
                    || newest[place].row.time == row.time && newest[place].batch == number
                {
                    newest[place] = (row, number)
                }
            }
        }
        return newest.map(\.row)
    }

    /// Where the five minutes begin that the readings fall into.
    private static func buckets(_ rows: [HistoryRow]) -> [Int64] {
        var found: Set<Int64> = []
        var last: Int64?
        for row in rows {
            let (quotient, remainder) = row.time.microseconds.quotientAndRemainder(dividingBy: bucket)
            let start = (remainder < 0 ? quotient - 1 : quotient) * bucket
            if start != last { found.insert(start) }
            last = start
        }
        return found.sorted()
    }

    private static func array(_ elements: [some CustomStringConvertible], _ type: String) -> String {
        "ARRAY[" + elements.map(\.description).joined(separator: ",") + "]::\(type)[]"
    }

    private static func literal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let hex = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return "'\\x" + String(decoding: hex, as: UTF8.self) + "'"
    }
}
