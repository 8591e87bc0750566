public import NIOCore

/// What a device turned out not to read: addresses it lacks, and blocks that are too large for it.
///
/// Two facts carry it: a request that contains a refused one is refused as well, and every part of an accepted one is
/// accepted. So each refusal is kept as a range that no request may contain whole. Nothing is believed for ever:
/// after ``expiry`` a refusal is tried again with one request of its own, and an acceptance at any time refutes
/// every refusal within it.
public struct DeviceLimits: Sendable {
    /// Why a range is refused, as far as known.
    enum Reason: Hashable, Sendable {
        /// Not yet known: an address in it is missing, or it is too large.
        case unknown
        /// It lies between two values and holds an address that the device lacks.
        case gap
        /// It is one value, refused alone.
        case value
    }

    struct Refusal: Hashable, Sendable {
        /// What no request may contain whole.
        var range: AddressRange
        /// The smallest request that the device refused because of it.
        var probe: AddressRange
        var reason: Reason
        var code: ExceptionCode
        var expires: NIODeadline
    }

    struct Table: Sendable {
        /// None within another.
        var refusals: [Refusal] = []
        /// The longest request that was answered.
        var accepted = 0
        /// The shortest request that was refused for its length alone.
        var tooLarge: Int?
        var tooLargeUntil = NIODeadline.uptimeNanoseconds(0)
        /// Requests up to this length need no more trying: the values do not form longer ones.
        var floor = 0
    }

    /// The most refusals kept for each table. At the bound the one that expires first is forgotten, and learnt anew
    /// when a request meets it.
    public static let maximumRefusals = 1024

    /// How long a refusal is believed before it is tried again.
    public let expiry: TimeAmount
    private(set) var tables: [DataTable: Table] = [:]

    /// - Parameter expiry: how long a refusal is believed before it is tried again with one request. Defaults to 1 h.
    public init(expiry: TimeAmount = .hours(1)) {
        self.expiry = expiry
    }

    /// The ranges that no request may contain whole: refused values, and gaps with a missing address.
    public var refused: [ReadSpan] {
        DataTable.allCases.flatMap { table in (tables[table]?.refusals ?? []).map { ReadSpan(table, $0.range) } }
    }

    /// The most addresses of `table` one request may read; nil when no request was refused for its size.
    public func maximum(of table: DataTable) -> Int? {
        tables[table].flatMap { $0.tooLarge == nil ? nil : $0.accepted }
    }

    /// The exception with which one of the refused values was refused; nil when there is none.
    var anyValueRefused: ModbusError? {
        for (table, learnt) in tables {
            guard let refusal = learnt.refusals.first(where: { $0.reason == .value }) else { continue }
            return ModbusError(
                .exception(refusal.code, table.readFunction), function: table.readFunction, range: refusal.range)
        }
        return nil
    }

    /// The refusal that a request for `span` would meet.
    func refusal(of span: ReadSpan) -> Refusal? {
        tables[span.table]?.refusals.first { span.range.contains($0.range) }
    }

    /// The device answered `block` with data.
    ///
    /// - Returns: whether anything learnt has changed by that.
    mutating func accept(_ block: ReadSpan) -> Bool {
        var table = tables[block.table] ?? Table()
        let refusals = table.refusals.count
        table.refusals.removeAll { block.range.contains($0.range) }
        let isLonger = block.range.count > table.accepted
        table.accepted = max(table.accepted, block.range.count)
        var isChanged = table.refusals.count < refusals
        if let tooLarge = table.tooLarge {
            isChanged = isChanged || isLonger
            if table.accepted >= tooLarge { table.tooLarge = nil }
        }
        tables[block.table] = table
        return isChanged
    }

    /// The device answered `block` with an exception.
    mutating func refuse(_ block: ReadSpan, isValue: Bool, _ code: ExceptionCode, now: NIODeadline) {
        var table = tables[block.table] ?? Table()
        defer { tables[block.table] = table }
        if let index = table.refusals.firstIndex(where: { block.range.contains($0.range) }) {
            if table.refusals[index].probe == block.range { table.refusals[index].expires = now + expiry }
            return
        }
        if let tooLarge = table.tooLarge, block.range.count >= tooLarge, !isValue {
            table.tooLargeUntil = now + expiry
            return
        }
        table.refusals.removeAll { $0.range.contains(block.range) }
        if table.refusals.count >= Self.maximumRefusals,
            let oldest = table.refusals.indices.min(by: { table.refusals[$0].expires < table.refusals[$1].expires })
        {
            table.refusals.remove(at: oldest)
        }
        table.refusals.append(
            Refusal(
                range: block.range, probe: block.range, reason: isValue ? .value : .unknown, code: code,
                expires: now + expiry))
    }

    /// Of `block`, which was refused, everything but `gap` was read: an address in the gap is missing.
    mutating func blame(_ gap: AddressRange, for block: ReadSpan) {
        guard let index = tables[block.table]?.refusals.firstIndex(where: { $0.range == block.range }) else { return }
        tables[block.table]?.refusals[index].range = gap
        tables[block.table]?.refusals[index].reason = .gap
        tables[block.table]?.refusals.removeAll { $0.range != gap && $0.range.contains(gap) }
    }

    /// Of `block`, which was refused, every address was read: only its size can be the reason.
    ///
    /// - Parameter accepted: the longest request answered lately.
    mutating func blameSize(of block: ReadSpan, accepted: Int, now: NIODeadline) {
        var table = tables[block.table] ?? Table()
        table.tooLarge = min(table.tooLarge ?? .max, block.range.count)
        table.tooLargeUntil = now + expiry
        table.floor = 0
        if table.accepted >= block.range.count { table.accepted = min(accepted, block.range.count - 1) }
        tables[block.table] = table
        forgetTooLarge(in: block.table)
    }

    /// Whether the size of `block` explains that it was refused.
    func isTooLarge(_ block: ReadSpan) -> Bool {
        tables[block.table]?.tooLarge.map { block.range.count >= $0 } ?? false
    }

    /// Whether a smaller refusal explains that `block` was refused.
    func isExplained(_ block: ReadSpan) -> Bool {
        tables[block.table]?.refusals.contains { $0.range != block.range && block.range.contains($0.range) } ?? false
    }

    mutating func setFloor(_ floor: Int, of table: DataTable) {
        tables[table]?.floor = floor
    }

    /// The values form other requests than before.
    mutating func forgetFloors() {
        for table in tables.keys { tables[table]?.floor = 0 }
    }

    /// The size needs no trying for as long as a refusal is believed.
    mutating func renewSize(of table: DataTable, now: NIODeadline) {
        tables[table]?.tooLargeUntil = now + expiry
    }

    /// A refusal that has been believed for long enough, as the request that tries it again.
    func outdated(now: NIODeadline) -> ReadSpan? {
        for table in DataTable.allCases {
            let refusals = tables[table]?.refusals ?? []
            if let refusal = refusals.first(where: { $0.expires <= now }) { return ReadSpan(table, refusal.probe) }
        }
        return nil
    }

    private mutating func forgetTooLarge(in table: DataTable) {
        guard let tooLarge = tables[table]?.tooLarge else { return }
        tables[table]?.refusals.removeAll { $0.reason == .unknown && $0.range.count >= tooLarge }
    }
}
