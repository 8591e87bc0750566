/// Where a batch lies in the spool. Later batches have greater positions, across files and restarts; children of a
/// batch that was cut anew lie behind everything that is in their parent's file.
public struct SpoolPosition: Hashable, Comparable, Sendable {
    /// The number of the segment in the upper 31 bits, the row in it in the lower 32.
    public var rawValue: Int64

    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    init(segment: Int64, row: Int64) {
        rawValue = segment << 32 | row
    }

    var segment: Int64 { rawValue >> 32 }
    package var row: Int64 { rawValue & Self.lastRow }

    /// The highest row that a segment can have.
    static let lastRow: Int64 = 0xFFFF_FFFF

    public static func < (left: SpoolPosition, right: SpoolPosition) -> Bool { left.rawValue < right.rawValue }

    /// Before everything.
    public static let start = SpoolPosition(rawValue: 0)
}

/// What batches have in common that can be sent together.
package struct BatchKind: Hashable, Sendable, Comparable {
    var machine: Int32
    /// See `BatchCoding`.
    var format: Int16

    var isUnregistered: Bool { format == BatchCoding.Format.unregistered.rawValue }

    package static func < (left: BatchKind, right: BatchKind) -> Bool {
        (left.machine, left.format) < (right.machine, right.format)
    }
}

/// All that is known of a batch without its records.
public struct BatchHeader: Hashable, Sendable {
    public internal(set) var position: SpoolPosition
    public var id: BatchID
    public var machine: Int32
    /// How the payload is written, see `BatchCoding`.
    public var format: Int16
    /// How many records the batch has.
    public var records: Int
    /// The length of the payload.
    public var bytes: Int
    /// The earliest and the latest instant that the records speak of.
    public var times: ClosedRange<Timestamp>
    /// When it was accepted, by this machine's clock. For people; nothing depends on it.
    public var acceptedAt: Timestamp
    /// The number, within the same origin or another, of the batch that this one was cut from.
    public var parent: BatchID?
    /// SHA-256 over machine, format and payload.
    public var digest: [UInt8]

    package var kind: BatchKind { BatchKind(machine: machine, format: format) }

    /// Whether it accounts for instants of Terminal 1: by readings or by a gap.
    var isOfCollection: Bool {
        switch BatchCoding.Format(rawValue: format) {
        case .history, .gaps, .unregistered: true
        case .deadLetters, .processEvents, nil: false
        }
    }

    /// Covers every field and, through the digest, the payload: what does not match it is not what was accepted.
    var checksum: UInt32 {
        var crc = CRC32C()
        crc.add(position.row)
        crc.add(id.origin)
        crc.add(id.number)
        crc.add(Int64(machine))
        crc.add(Int64(format))
        crc.add(Int64(records))
        crc.add(Int64(bytes))
        crc.add(times.lowerBound.microseconds)
        crc.add(times.upperBound.microseconds)
        crc.add(acceptedAt.microseconds)
        crc.add(parent?.origin ?? 0)
        crc.add(parent?.number ?? 0)
        crc.add(digest)
        return crc.value
    }
}

/// A sealed batch as it lies in the spool.
public struct StoredBatch: Hashable, Sendable {
    public internal(set) var header: BatchHeader
    /// The records in the form that the digest covers.
    public var payload: [UInt8]
    /// Attempts to deliver it that were noted, see ``Spool/noteAttempts(_:)``.
    public internal(set) var attempts = 0

    public var position: SpoolPosition { header.position }

    /// Whether payload and header are what was accepted.
    var isIntact: Bool {
        payload.count == header.bytes
            && BatchCoding.digest(machine: header.machine, format: header.format, bytes: payload) == header.digest
    }

    /// The batch with its records.
    ///
    /// - Throws: when the payload is of a format that this version does not know: a newer one has accepted it.
    public func batch() throws(SpoolError) -> Batch {
        do throws(BatchCoding.Corrupted) {
            let records = try BatchCoding.decode(payload, format: header.format, count: header.records)
            return Batch(
                id: header.id, machine: header.machine, records: records, digest: header.digest,
                parent: header.parent)
        } catch {
            throw SpoolError(.corrupted, file: "batch \(header.id)", error.reason)
        }
    }
}

/// Records in the form in which they are stored, before they have a name and a place.
struct EncodedRecords: Sendable {
    var machine: Int32
    var format: Int16
    var records: Int
    var times: ClosedRange<Timestamp>
    var payload: [UInt8]

    init(_ records: Records, machine: Int32) {
        let (format, bytes) = BatchCoding.encode(records)
        self.machine = machine
        self.format = format.rawValue
        self.records = records.count
        times = records.times
        payload = bytes
    }

    /// Takes in the records of another append of the same machine and format. Every format is a plain row of records,
    /// so two of them joined are one.
    mutating func join(_ other: EncodedRecords) {
        records += other.records
        times = min(times.lowerBound, other.times.lowerBound)...max(times.upperBound, other.times.upperBound)
        payload += other.payload
    }

    func sealed(_ id: BatchID, at position: SpoolPosition, acceptedAt: Timestamp, parent: BatchID?) -> StoredBatch {
        let digest = BatchCoding.digest(machine: machine, format: format, bytes: payload)
        let header = BatchHeader(
            position: position, id: id, machine: machine, format: format, records: records, bytes: payload.count,
            times: times, acceptedAt: acceptedAt, parent: parent, digest: digest)
        return StoredBatch(header: header, payload: payload)
    }
}

extension Records {
    /// The earliest and the latest instant that the records speak of; the epoch when there are none.
    var times: ClosedRange<Timestamp> {
        let instants: [Timestamp] =
            switch self {
            case .history(let rows), .unregistered(let rows): rows.map(\.time)
            case .gaps(let gaps): gaps.flatMap { [$0.firstMissedAt, $0.lastMissedAt] }
            case .processEvents(let events): events.map(\.time)
            case .deadLetters(let letters): letters.map(\.recordedAt)
            }
        let epoch = Timestamp(microseconds: 0)
        return (instants.min() ?? epoch)...(instants.max() ?? epoch)
    }
}
