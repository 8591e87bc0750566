/// Why bytes are no DER.
struct DERFault: Error, Hashable {
    let description: String
}

/// Takes DER elements (ITU-T X.690) off a run of bytes, one after the other: as much of it as a certificate needs.
///
/// Every length is checked against what is there. Only the one encoding that DER allows is taken: definite lengths,
/// as short as possible. Tags beyond 30 do not occur in certificates.
struct DERReader {
    struct Element: Hashable {
        let tag: UInt8
        let content: ArraySlice<UInt8>

        /// The elements inside.
        var reader: DERReader {
            DERReader(content)
        }
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        rest = bytes
    }

    /// The next element; nil at the end.
    mutating func next() throws(DERFault) -> Element? {
        guard let tag = rest.popFirst() else { return nil }
        guard tag & 0x1F != 0x1F else { throw DERFault(description: "a tag of several bytes") }
        let length = try takeLength()
        guard length <= rest.count else {
            throw DERFault(description: "an element of \(length) bytes where \(rest.count) are left")
        }
        defer { rest = rest.dropFirst(length) }
        return Element(tag: tag, content: rest.prefix(length))
    }

    /// The next element, which must have this tag.
    mutating func next(_ tag: UInt8) throws(DERFault) -> Element {
        guard let element = try next() else { throw DERFault(description: "the end where tag \(tag) was expected") }
        guard element.tag == tag else { throw DERFault(description: "tag \(element.tag) where \(tag) was expected") }
        return element
    }

    /// Nothing may be left.
    func finish() throws(DERFault) {
        guard rest.isEmpty else { throw DERFault(description: "\(rest.count) bytes behind the end") }
    }

    private mutating func takeLength() throws(DERFault) -> Int {
        guard let first = rest.popFirst() else { throw DERFault(description: "an element without a length") }
        guard first & 0x80 != 0 else { return Int(first) }
        let count = Int(first & 0x7F)
        // Four bytes say more than any certificate needs, and fit an Int everywhere after the sign bit is ruled out.
        guard (1...4).contains(count), count <= rest.count else {
            throw DERFault(description: "a length of \(count) bytes")
        }
        let length = rest.prefix(count).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(count)
        guard length >= 0x80, length >> (8 * (count - 1)) != 0, let value = Int(exactly: length) else {
            throw DERFault(description: "a length that is not encoded as short as possible")
        }
        return value
    }
}
