/// Splits RFC 4180 text into records of fields that remember where they stood.
///
/// A register map is written by hand in a spreadsheet, and whoever made a typing error in row 40 needs line and column
/// in the message. CSV libraries give the values and lose the places, so this one is ours.
struct CSVScanner {
    struct Field {
        var text: String
        /// Both count from 1; columns count characters.
        var line: Int
        var column: Int
    }

    struct Unterminated: Error {
        var line: Int
        var column: Int
    }

    private var characters: Array<Character>.SubSequence
    private var line = 1
    private var column = 1

    init(_ text: String) {
        // A byte order mark is how some spreadsheets begin a UTF-8 file; it is not part of the first name.
        let body = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
        characters = Array(body)[...]
    }

    /// All records, without those that are empty lines.
    static func records(in text: String) throws(Unterminated) -> [[Field]] {
        var scanner = CSVScanner(text)
        var records: [[Field]] = []
        while !scanner.characters.isEmpty {
            let record = try scanner.nextRecord()
            if record.count > 1 || record.first?.text.isEmpty == false { records.append(record) }
        }
        return records
    }

    private mutating func nextRecord() throws(Unterminated) -> [Field] {
        var fields = [try nextField()]
        while characters.first == "," {
            advance()
            fields.append(try nextField())
        }
        if characters.first?.isNewline == true { advance() }
        return fields
    }

    private mutating func nextField() throws(Unterminated) -> Field {
        var field = Field(text: "", line: line, column: column)
        guard characters.first == "\"" else {
            while let next = characters.first, next != ",", !next.isNewline {
                field.text.append(next)
                advance()
            }
            return field
        }
        advance()
        while let next = characters.first {
            advance()
            if next != "\"" {
                field.text.append(next)
            } else if characters.first == "\"" {
                field.text.append("\"")
                advance()
            } else {
                return field
            }
        }
        throw Unterminated(line: field.line, column: field.column)
    }

    private mutating func advance() {
        // "\r\n" is one Character, so a file from Windows counts its lines right.
        if characters.removeFirst().isNewline {
            line += 1
            column = 1
        } else {
            column += 1
        }
    }
}
