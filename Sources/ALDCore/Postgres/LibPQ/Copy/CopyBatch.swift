/// Some rows of a `COPY … TO STDOUT`, immutable.
///
/// `@unchecked Sendable` is sound because nothing of it changes after `init`, and the memory lives as long as it does.
final class CopyBatch: RowStorage, @unchecked Sendable {
    let columns: [PostgresColumn]
    let rowCount: Int
    private let memory: UnsafeMutableRawBufferPointer
    /// For every value in turn where it begins, behind its length; −1 for null.
    private let offsets: [Int]

    /// - Parameter rows: complete rows in `bytes`, each of as many values as there are columns.
    init(columns: [PostgresColumn], bytes: [UInt8], rows: [(start: Int, columns: Int)]) {
        self.columns = columns
        rowCount = rows.count
        memory = .allocate(byteCount: max(1, bytes.count), alignment: 16)
        memory.copyBytes(from: bytes)
        var offsets: [Int] = []
        offsets.reserveCapacity(rows.count * columns.count)
        for row in rows {
            var position = row.start
            for _ in 0..<row.columns {
                let length = Int(Int32(bigEndian: memory.loadUnaligned(fromByteOffset: position, as: Int32.self)))
                offsets.append(length < 0 ? -1 : position + 4)
                position += 4 + max(0, length)
            }
        }
        self.offsets = offsets
    }

    deinit {
        memory.deallocate()
    }

    func bytes(row: Int, column: Int) -> UnsafeRawBufferPointer? {
        let offset = offsets[row * columns.count + column]
        guard offset >= 0 else { return nil }
        let length = Int(Int32(bigEndian: memory.loadUnaligned(fromByteOffset: offset - 4, as: Int32.self)))
        return UnsafeRawBufferPointer(rebasing: memory[offset..<offset + length])
    }
}
