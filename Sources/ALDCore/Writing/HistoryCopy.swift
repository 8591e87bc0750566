/// Batches of readings of one machine as one script that claims them and copies their rows, in one transaction and
/// through any pooler.
struct HistoryCopy: Sendable {
    /// Claims, and begins a `COPY` that waits for ``columns``.
    let script: String
    /// What `COPY` takes, in the order of the batches.
    let columns: [PostgresValue]

    private static let bucket: Int64 = 300_000_000

    /// - Returns: `nil` when the batches are no readings.
    init?(_ batches: [Batch], recording: PostgresSink.Recording) {
        guard let machine = batches.first?.machine else { return nil }
        var rows: [HistoryRow] = []
        var spans: [(first: Int64, last: Int64)] = []
        for batch in batches {
            guard case .history(let own) = batch.records, !own.isEmpty else { return nil }
            let times = batch.records.times
            spans.append((times.lowerBound.microseconds, times.upperBound.microseconds))
            rows += own
        }
        columns = [
            .int4Array(Array(repeating: machine, count: rows.count)), .int4Array(rows.map(\.parameter.rawValue)),
            .timestamptzArray(rows.map(\.time)), .float8Array(rows.map(\.value)),
            .int2Array(rows.map(\.quality.rawValue)),
        ]
        let newest = recording == .synchronized ? Self.newest(batches) : []
        let arguments = [
            "\(machine)", "\(recording == .synchronized)", Self.array(batches.map(\.id.origin), "bigint"),
            Self.array(batches.map(\.id.number), "bigint"), Self.array(batches.map(\.records.count), "int"),
            Self.array(batches.map { Self.literal($0.digest) }, "bytea"), Self.array(spans.map(\.first), "bigint"),
            Self.array(spans.map(\.last), "bigint"), Self.array(Self.buckets(rows), "bigint"),
            Self.array(newest.map(\.parameter.rawValue), "int"), Self.array(newest.map(\.time.microseconds), "bigint"),
            Self.array(newest.map { $0.value.map { "'\($0)'" } ?? "NULL" }, "float8"),
            Self.array(newest.map(\.quality.rawValue), "smallint"),
        ]
        script = """
            SELECT ald_history.begin_copy(\(arguments.joined(separator: ", ")));
            COPY ald_history.parameter_value_history (machine_id, parameter_id, sampled_at, value, quality)
            FROM STDIN (FORMAT binary)
            """
    }

    /// The newest reading of every parameter. Of two of the same instant the later one of a batch and that of the earlier
    /// batch, as when the batches are recorded one after the other.
    private static func newest(_ batches: [Batch]) -> [HistoryRow] {
        var newest: [HistoryRow] = []
        var places: [Int32: Int] = [:]
        for batch in batches {
            guard case .history(let rows) = batch.records else { continue }
            let begin = newest.count
            for row in rows {
                let place = places[row.parameter.rawValue]
                if let place, place >= begin ? newest[place].time > row.time : newest[place].time >= row.time {
                    continue
                }
                places[row.parameter.rawValue] = newest.count
                newest.append(row)
            }
        }
        return places.values.sorted().map { newest[$0] }
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
