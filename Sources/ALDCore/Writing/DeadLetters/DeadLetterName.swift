/// What a dead letter is called everywhere: its machine, the batch that was refused and the record's place in it.
///
/// Written `machine/origin/number/row`, the origin in hexadecimal as in ``BatchID``, for instance `3/5d0f2a/17/4`.
public struct DeadLetterName: Hashable, Sendable, LosslessStringConvertible {
    public var machine: Int32
    public var batch: BatchID
    public var row: Int32

    public init(machine: Int32, batch: BatchID, row: Int32) {
        self.machine = machine
        self.batch = batch
        self.row = row
    }

    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, let machine = Int32(parts[0]), let origin = UInt64(parts[1], radix: 16),
            let number = Int64(parts[2]), let row = Int32(parts[3]), row >= 0
        else { return nil }
        self.init(machine: machine, batch: BatchID(origin: Int64(bitPattern: origin), number: number), row: row)
    }

    public var description: String { "\(machine)/\(batch)/\(row)" }

    var parameters: [PostgresValue] { [.int4(machine), .int8(batch.origin), .int8(batch.number), .int4(row)] }
}
