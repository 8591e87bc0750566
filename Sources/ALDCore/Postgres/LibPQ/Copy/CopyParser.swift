/// Cuts the stream of a binary `COPY … TO STDOUT` into rows, however it was cut into messages.
struct CopyParser {
    /// Rows and bytes that are worth a change of threads.
    static let batchRows = 4096
    static let batchBytes = 256 * 1024

    private var bytes: [UInt8] = []
    /// Rows that are complete in `bytes`: where each begins, behind its column count, and how many columns it has.
    private var rows: [(start: Int, columns: Int)] = []
    private var position = 0
    private var hasHeader = false
    private var hasEnded = false
    /// Why the stream cannot be read on.
    private(set) var problem: String?

    var isBatchFull: Bool { rows.count >= Self.batchRows || bytes.count >= Self.batchBytes }
    var isEmpty: Bool { rows.isEmpty }

    mutating func append(_ message: UnsafeRawBufferPointer) {
        guard problem == nil else { return }
        bytes.append(contentsOf: message)
        bytes.withUnsafeBytes { bytes in
            if !hasHeader { readHeader(bytes) }
            while hasHeader, problem == nil, readRow(bytes) {}
        }
    }

    /// The complete rows so far; they are forgotten here.
    mutating func takeRows() -> (bytes: [UInt8], rows: [(start: Int, columns: Int)]) {
        let rest = Array(bytes[position...])
        defer {
            bytes = rest
            rows = []
            position = 0
        }
        return (bytes, rows)
    }

    private mutating func readHeader(_ bytes: UnsafeRawBufferPointer) {
        let known = CopyFormat.signature.count
        guard bytes.prefix(known).elementsEqual(CopyFormat.signature.prefix(bytes.count)) else {
            problem = "the data do not begin with the signature of the binary format"
            return
        }
        guard bytes.count >= known + 8 else { return }
        let flags = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: known, as: UInt32.self))
        let extent = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: known + 4, as: UInt32.self))
        guard flags & CopyFormat.criticalFlags == 0 else {
            problem = "the data use a feature of the binary format that is not known (flags \(flags))"
            return
        }
        guard bytes.count >= known + 8 + Int(extent) else { return }
        position = known + 8 + Int(extent)
        hasHeader = true
    }

    /// - Returns: whether a row was complete.
    private mutating func readRow(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !hasEnded, bytes.count - position >= 2 else { return false }
        let columns = Int16(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int16.self))
        if columns == CopyFormat.end {
            hasEnded = true
            position += 2
            return false
        }
        guard columns >= 0 else {
            problem = "a row claims to have \(columns) columns"
            return false
        }
        var end = position + 2
        for _ in 0..<columns {
            guard bytes.count - end >= 4 else { return false }
            let length = Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: end, as: Int32.self))
            guard length >= CopyFormat.null else {
                problem = "a value claims to have \(length) bytes"
                return false
            }
            end += 4 + max(0, Int(length))
        }
        guard end <= bytes.count else { return false }
        rows.append((position + 2, Int(columns)))
        position = end
        return true
    }
}
