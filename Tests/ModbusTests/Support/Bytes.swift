import NIOCore

/// The bytes of a hexadecimal text; spaces and `|` only guide the eye.
func bytes(_ text: String) -> ByteBuffer {
    let digits = text.compactMap(\.hexDigitValue)
    var buffer = ByteBuffer()
    for index in stride(from: 0, to: digits.count - 1, by: 2) {
        buffer.writeInteger(UInt8(digits[index] << 4 | digits[index + 1]))
    }
    return buffer
}

/// The opposite: `00 01 ff`.
func hex(_ buffer: ByteBuffer) -> String {
    buffer.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}

extension ByteBuffer {
    /// `parts` in one piece.
    static func joined(_ parts: [ByteBuffer]) -> ByteBuffer {
        var whole = ByteBuffer()
        for part in parts { whole.writeImmutableBuffer(part) }
        return whole
    }

    /// The bytes from `lower` up to `upper`, counted from the first readable one.
    func part(_ lower: Int, _ upper: Int) -> ByteBuffer {
        getSlice(at: readerIndex + lower, length: upper - lower) ?? ByteBuffer()
    }

    /// Without the seven bytes of the header.
    var pdu: ByteBuffer {
        part(7, readableBytes)
    }
}
