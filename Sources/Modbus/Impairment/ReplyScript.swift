import NIOCore

/// What goes over the wire in place of one answer.
struct ReplyScript: Hashable, Sendable {
    struct Piece: Hashable, Sendable {
        var bytes: ByteBuffer
        /// After the piece before it.
        var pause = TimeAmount.zero
    }

    var pieces: [Piece]
    /// The connection is closed behind the last piece.
    var closes = false
    /// Hold everything until the connection's next answer has left, at most this long.
    var holdsFor: TimeAmount?

    /// An answer as it should be.
    init(_ reply: ByteBuffer) {
        pieces = [Piece(bytes: reply)]
    }

    private init(_ pieces: [ByteBuffer]) {
        self.pieces = pieces.map { Piece(bytes: $0) }
    }

    /// A changed answer; nil when nothing has changed.
    private init?(_ changed: ByteBuffer?) {
        guard let changed else { return nil }
        self.init([changed])
    }

    /// What `fault` makes of an answer, nil when it cannot have an effect on this one.
    ///
    /// - Parameters:
    ///   - reply: the answer's frame.
    ///   - traits: the request's.
    ///   - previous: the connection's answer before this one.
    init?(
        _ fault: ReplyFault, on reply: ByteBuffer, to traits: RequestTraits, previous: ByteBuffer?,
        using generator: inout SeededGenerator
    ) {
        switch fault {
        case .wrongTransaction: self.init(reply.changed(at: 0, as: UInt8.self) { $0 ^ 0x80 })
        case .wrongProtocol: self.init(reply.changed(at: 2, as: UInt16.self) { _ in 1 })
        case .wrongUnit: self.init(reply.changed(at: 6, as: UInt8.self) { $0 &+ 1 })
        case .wrongFunction: self.init(reply.changed(at: 7, as: UInt8.self) { $0 ^ 0x07 })
        case .length(let value): self.init(reply.changed(at: 4, as: UInt16.self) { _ in value })
        case .lengthOff(let by):
            guard let length = UInt16(exactly: reply.readableBytes - ModbusLimits.headerPrefixSize + by) else {
                return nil
            }
            self.init(reply.changed(at: 4, as: UInt16.self) { _ in length })
        case .byteCountOff(let by):
            guard traits.isPlainRead, !reply.isException else { return nil }
            self.init(reply.changed(at: 8, as: UInt8.self) { $0 &+ UInt8(truncatingIfNeeded: by) })
        case .paddingBits:
            guard traits.isPlainRead, !reply.isException, traits.bits & 7 != 0 else { return nil }
            let padding = UInt8(truncatingIfNeeded: 0xFF << (traits.bits & 7))
            self.init(reply.changed(at: reply.readableBytes - 1, as: UInt8.self) { $0 | padding })
        case .wrongEcho:
            guard traits.isEchoed, !reply.isException else { return nil }
            self.init(reply.changed(at: 9, as: UInt8.self) { $0 ^ 1 })
        case .duplicate: self.init([reply, reply])
        case .stale:
            guard let previous else { return nil }
            self.init([previous, reply])
        case .swap(let within):
            self.init(reply)
            holdsFor = TimeAmount(within)
        case .split(let after, let pause):
            guard after > 0, after < reply.readableBytes else { return nil }
            self.init(reply.cut(every: nil, first: after))
            pieces[1].pause = TimeAmount(pause)
        case .trickle(let pause):
            self.init(reply.cut(every: 1, first: 1))
            for index in pieces.indices.dropFirst() { pieces[index].pause = TimeAmount(pause) }
        case .junkBefore(let count): self.init([.junk(count, using: &generator), reply])
        case .junkAfter(let count): self.init([reply, .junk(count, using: &generator)])
        case .truncate(let after):
            guard after < reply.readableBytes else { return nil }
            self.init(after > 0 ? [reply.cut(every: nil, first: after)[0]] : [])
            closes = true
        }
    }
}

extension RequestTraits {
    /// Functions 01 to 04: the answer is a byte count and the values.
    fileprivate var isPlainRead: Bool {
        (1...4).contains(function.rawValue)
    }

    /// Functions whose answer repeats the address.
    fileprivate var isEchoed: Bool {
        [5, 6, 15, 16, 22].contains(function.rawValue)
    }
}

extension ByteBuffer {
    fileprivate var isException: Bool {
        (getInteger(at: readerIndex + ModbusLimits.headerSize, as: UInt8.self) ?? 0) & FunctionCode.exceptionBit != 0
    }

    /// A copy with another number at `offset`; nil when there is none, or when it stays the same.
    fileprivate func changed<T: FixedWidthInteger>(at offset: Int, as: T.Type, _ change: (T) -> T) -> ByteBuffer? {
        guard let old = getInteger(at: readerIndex + offset, as: T.self), change(old) != old else { return nil }
        var copy = self
        copy.setInteger(change(old), at: readerIndex + offset)
        return copy
    }

    /// A first piece, then pieces of `length`, or one with all the rest.
    fileprivate func cut(every length: Int?, first: Int) -> [ByteBuffer] {
        var rest = self
        var pieces: [ByteBuffer] = []
        var next = first
        while rest.readableBytes > 0 {
            guard let piece = rest.readSlice(length: Swift.min(next, rest.readableBytes)) else { break }
            pieces.append(piece)
            next = length ?? rest.readableBytes
        }
        return pieces
    }

    fileprivate static func junk(_ count: Int, using generator: inout SeededGenerator) -> ByteBuffer {
        ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}
