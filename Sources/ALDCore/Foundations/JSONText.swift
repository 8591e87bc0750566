/// JSON that is written so often that an encoder of the library would take longer than what it is written for: pieces,
/// put together by whoever knows the form.
///
/// What it writes is, byte for byte, what `JSONEncoder` writes with `.withoutEscapingSlashes`.
struct JSONText: Sendable {
    private(set) var utf8: [UInt8] = []

    /// What is JSON already: a brace, a name with its colon.
    mutating func add(_ json: StaticString) {
        json.withUTF8Buffer { utf8.append(contentsOf: $0) }
    }

    mutating func add(json: some Sequence<UInt8>) { utf8.append(contentsOf: json) }

    mutating func add(_ number: Int64) { utf8.append(contentsOf: number.description.utf8) }

    mutating func add(_ flag: Bool) { add(flag ? "true" : "false") }

    /// - Parameter number: finite; JSON knows no other.
    mutating func add(_ number: Double) {
        let digits = number.description.utf8
        utf8.append(contentsOf: digits.suffix(2).elementsEqual(".0".utf8) ? digits.dropLast(2) : digits[...])
    }

    mutating func add(text: String) {
        add("\"")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): add(#"\""#)
            case UInt8(ascii: "\\"): add(#"\\"#)
            case 0x08: add(#"\b"#)
            case 0x09: add(#"\t"#)
            case 0x0A: add(#"\n"#)
            case 0x0C: add(#"\f"#)
            case 0x0D: add(#"\r"#)
            case 0..<0x20:
                add(byte < 0x10 ? #"\u000"# : #"\u00"#)
                utf8.append(contentsOf: String(byte, radix: 16).utf8)
            default: utf8.append(byte)
            }
        }
        add("\"")
    }

    /// - Parameter write: one element of the list.
    mutating func add<Element>(list: [Element], _ write: (inout JSONText, Element) throws -> Void) rethrows {
        add("[")
        for (place, element) in list.enumerated() {
            if place > 0 { add(",") }
            try write(&self, element)
        }
        add("]")
    }
}
