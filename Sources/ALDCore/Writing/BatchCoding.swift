import Crypto
import NIOCore

/// The stored form of a batch's records. The digest covers these bytes, so a format, once released, is decoded for
/// ever; a new one gets a new number.
///
/// ```
/// history, format 1, per row, big-endian:   parameter int32 | time int64 | quality int16 | value float64
/// gaps, format 2, per row:                  first int64 | last int64 | instants int32
///                                           | cause length int32, UTF-8 | detail length int32, UTF-8
/// dead letters, format 3, per row:          origin int64 | number int64 | row int32 | recorded int64 | refused int64
///                                           | attempts int32 | format int16 | payload length int32, bytes
///                                           | message, then each of `FaultEvidence.texts`: length int32 (-1: none), UTF-8
/// process events, format 4, per row:        process int64 | number int64 | time int64 | step int32 (0: none)
///                                           | iterations: count int32, each int32
///                                           | kind, text, values: length int32, UTF-8
/// unregistered, format 5:                   as format 1
/// ```
/// The value of a bad reading is stored as NaN, which no reading with a value can be.
enum BatchCoding {
    enum Format: Int16 {
        case history = 1
        case gaps = 2
        case deadLetters = 3
        case processEvents = 4
        case unregistered = 5
    }

    private static let historyRowBytes = 22

    /// The stored bytes do not say what their row in the spool announces.
    struct Corrupted: Error {
        var reason: String
    }

    static func encode(_ records: Records) -> (format: Format, bytes: [UInt8]) {
        var buffer = ByteBuffer()
        let format: Format
        switch records {
        case .history(let rows):
            format = .history
            write(rows, to: &buffer)
        case .unregistered(let rows):
            format = .unregistered
            write(rows, to: &buffer)
        case .gaps(let gaps):
            format = .gaps
            for gap in gaps {
                buffer.writeInteger(gap.firstMissedAt.microseconds)
                buffer.writeInteger(gap.lastMissedAt.microseconds)
                buffer.writeInteger(gap.instants)
                for text in [gap.cause.rawValue, gap.detail] {
                    buffer.writeInteger(Int32(text.utf8.count))
                    buffer.writeString(text)
                }
            }
        case .deadLetters(let letters):
            format = .deadLetters
            for letter in letters { write(letter, to: &buffer) }
        case .processEvents(let events):
            format = .processEvents
            for event in events { write(event, to: &buffer) }
        }
        return (format, Array(buffer.readableBytesView))
    }

    private static func write(_ rows: [HistoryRow], to buffer: inout ByteBuffer) {
        buffer.reserveCapacity(rows.count * historyRowBytes)
        for row in rows {
            buffer.writeInteger(row.parameter.rawValue)
            buffer.writeInteger(row.time.microseconds)
            buffer.writeInteger(row.quality.rawValue)
            buffer.writeInteger((row.value ?? .nan).bitPattern)
        }
    }

    static func decode(_ bytes: [UInt8], format: Int16, count: Int) throws(Corrupted) -> Records {
        guard let format = Format(rawValue: format) else {
            throw Corrupted(reason: "format \(format) is not known to this version")
        }
        var buffer = ByteBuffer(bytes: bytes)
        let records: Records
        switch format {
        case .history, .unregistered:
            var rows: [HistoryRow] = []
            rows.reserveCapacity(bytes.count / historyRowBytes)
            while buffer.readableBytes > 0 { rows.append(try historyRow(from: &buffer)) }
            records = format == .history ? .history(rows) : .unregistered(rows)
        case .gaps:
            var gaps: [CollectionGap] = []
            while buffer.readableBytes > 0 { gaps.append(try gap(from: &buffer)) }
            records = .gaps(gaps)
        case .deadLetters:
            var letters: [DeadLetter] = []
            while buffer.readableBytes > 0 { letters.append(try deadLetter(from: &buffer)) }
            records = .deadLetters(letters)
        case .processEvents:
            var events: [ProcessEvent] = []
            while buffer.readableBytes > 0 { events.append(try processEvent(from: &buffer)) }
            records = .processEvents(events)
        }
        guard records.count == count else {
            throw Corrupted(reason: "\(records.count) records are stored, \(count) were accepted")
        }
        return records
    }

    private static func historyRow(from buffer: inout ByteBuffer) throws(Corrupted) -> HistoryRow {
        guard let parameter = buffer.readInteger(as: Int32.self), let time = buffer.readInteger(as: Int64.self),
            let code = buffer.readInteger(as: Int16.self), let quality = Quality(rawValue: code),
            let bits = buffer.readInteger(as: UInt64.self)
        else { throw Corrupted(reason: "a history row is cut short or has an unknown quality") }
        let value = Double(bitPattern: bits)
        return HistoryRow(
            parameter: ParameterID(rawValue: parameter), time: Timestamp(microseconds: time),
            value: value.isNaN ? nil : value, quality: quality)
    }

    private static func gap(from buffer: inout ByteBuffer) throws(Corrupted) -> CollectionGap {
        guard let first = buffer.readInteger(as: Int64.self), let last = buffer.readInteger(as: Int64.self),
            let instants = buffer.readInteger(as: Int32.self),
            let causeLength = buffer.readInteger(as: Int32.self), causeLength >= 0,
            let name = buffer.readString(length: Int(causeLength)),
            let cause = CollectionGap.Cause(rawValue: name),
            let detailLength = buffer.readInteger(as: Int32.self), detailLength >= 0,
            let detail = buffer.readString(length: Int(detailLength))
        else { throw Corrupted(reason: "a gap is cut short or has an unknown cause") }
        return CollectionGap(
            firstMissedAt: Timestamp(microseconds: first), lastMissedAt: Timestamp(microseconds: last),
            instants: instants, cause: cause, detail: detail)
    }

    static func digest(machine: Int32, format: Int16, bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        withUnsafeBytes(of: machine.bigEndian) { hash.update(bufferPointer: $0) }
        withUnsafeBytes(of: format.bigEndian) { hash.update(bufferPointer: $0) }
        hash.update(data: bytes)
        return hash.finalize().withUnsafeBytes { Array($0) }
    }
}
