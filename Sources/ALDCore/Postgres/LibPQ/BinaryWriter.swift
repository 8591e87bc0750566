/// Appends values in network byte order, as PostgreSQL's binary format wants them, to memory that grows and is kept.
///
/// A value costs a store: no array is grown, checked or copied for it.
struct BinaryWriter: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 256) {
        self.capacity = max(capacity, 16)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit {
        base.deallocate()
    }

    /// A copy of what was written.
    var bytes: [UInt8] { [UInt8](UnsafeRawBufferPointer(start: base, count: count)) }

    /// What was written, valid until the next change.
    var contents: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    @inline(__always)
    mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        let size = MemoryLayout<Number>.size
        if count &+ size > capacity { grow(by: size) }
        base.storeBytes(of: number.bigEndian, toByteOffset: count, as: Number.self)
        count &+= size
    }

    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(contentsOf: UnsafeRawBufferPointer($0)) }
    }

    mutating func append(contentsOf other: [UInt8]) {
        other.withUnsafeBytes { append(contentsOf: $0) }
    }

    mutating func append(contentsOf other: UnsafeRawBufferPointer) {
        guard let start = other.baseAddress else { return }
        if count + other.count > capacity { grow(by: other.count) }
        (base + count).copyMemory(from: start, byteCount: other.count)
        count += other.count
    }

    /// Room for `size` more bytes, to be filled by the caller.
    mutating func extend(by size: Int) -> UnsafeMutableRawPointer {
        if count + size > capacity { grow(by: size) }
        defer { count += size }
        return base + count
    }

    /// Corrects a number that was written earlier.
    mutating func overwrite<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
        base.storeBytes(of: number.bigEndian, toByteOffset: offset, as: Number.self)
    }

    /// Forgets what was written from `position` on.
    mutating func rewind(to position: Int) {
        count = min(count, max(position, 0))
    }

    /// Forgets everything; gives memory back that one large value had needed.
    mutating func removeAll(keepingAtMost bound: Int) {
        count = 0
        guard capacity > bound else { return }
        base.deallocate()
        base = .allocate(byteCount: bound, alignment: 16)
        capacity = bound
    }

    @inline(never)
    private mutating func grow(by size: Int) {
        let wanted = max(capacity * 2, count + size)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
        larger.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = larger
        capacity = wanted
    }
}
