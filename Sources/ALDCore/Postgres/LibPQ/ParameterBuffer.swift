/// The parameters of one statement, encoded into one block of memory.
struct ParameterBuffer: Sendable {
    /// The protocol counts parameters in 16 bits.
    static let maximumCount = 65_535

    private let bytes: [UInt8]
    private let offsets: [Int?]
    let types: [UInt32]
    private let lengths: [Int32]

    /// - Throws: ``PostgresError/Code/encodingFailed``.
    init(_ values: [PostgresValue]) throws(PostgresError) {
        guard values.count <= Self.maximumCount else {
            throw PostgresError(
                .encodingFailed, "\(values.count) parameters are more than \(Self.maximumCount)",
                remedy: "Pass arrays and unnest() them.")
        }
        var writer = BinaryWriter()
        var offsets: [Int?] = []
        var types: [UInt32] = []
        var lengths: [Int32] = []
        for value in values {
            let start = writer.count
            try value.encode(into: &writer)
            guard let length = Int32(exactly: writer.count - start) else {
                throw PostgresError(.encodingFailed, "a parameter of \(writer.count - start) bytes is too long")
            }
            offsets.append(value == .null ? nil : start)
            types.append(value.type.rawValue)
            lengths.append(length)
        }
        // An empty value needs a valid address too.
        writer.append(0 as UInt8)
        bytes = writer.bytes
        self.offsets = offsets
        self.types = types
        self.lengths = lengths
    }

    var count: Int32 { Int32(offsets.count) }

    /// Lends types, addresses, lengths and formats as `PQsendQueryParams` takes them.
    func withPointers<R>(
        _ body: (
            UnsafePointer<UInt32>?, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
        ) -> R
    ) -> R {
        let formats = [Int32](repeating: 1, count: offsets.count)
        return bytes.withUnsafeBytes { buffer in
            let base = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let addresses = offsets.map { offset in offset.flatMap { base?.advanced(by: $0) } }
            return addresses.withUnsafeBufferPointer { addresses in
                types.withUnsafeBufferPointer { types in
                    lengths.withUnsafeBufferPointer { lengths in
                        formats.withUnsafeBufferPointer { formats in
                            body(types.baseAddress, addresses.baseAddress, lengths.baseAddress, formats.baseAddress)
                        }
                    }
                }
            }
        }
    }
}
