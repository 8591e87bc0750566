/// One place that breaks a rule, and what to do instead.
struct TidyProblem: Hashable, Comparable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }

    static func < (left: TidyProblem, right: TidyProblem) -> Bool {
        (left.path, left.line, left.message) < (right.path, right.line, right.message)
    }
}

/// A word or a sign of Swift code. Comments never become tokens; a string literal becomes one without its text.
struct TidyToken: Hashable {
    enum Kind: Hashable { case word, number, sign, literal }

    let kind: Kind
    let text: String
    let line: Int
    /// How many braces are open around it: 0 at the top level of the file.
    let depth: Int
}

/// A Swift file taken apart as far as the rules need it: not a parser, but never fooled by comments, string literals
/// (raw, multi-line, interpolated: the code inside an interpolation counts), regex literals or `#if`.
struct TidyFile {
    /// Relative to the repository, with `/`.
    let path: String
    let lines: [Substring]
    let tokens: [TidyToken]
    /// The text of the comments that touch a line.
    let comments: [Int: String]

    init(path: String, text: String) {
        self.path = path
        var lexer = TidyLexer(text)
        lexer.scan()
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        tokens = lexer.tokens
        comments = lexer.comments
    }

    var name: String { String(path.split(separator: "/").last ?? "") }

    /// The number of lines as an editor shows it.
    var lineCount: Int { lines.last == "" ? lines.count - 1 : lines.count }

    func token(_ index: Int) -> TidyToken? { tokens.indices.contains(index) ? tokens[index] : nil }

    func text(_ index: Int) -> String? { token(index)?.text }
}

/// Splits Swift source text into tokens and comments in one pass over its bytes.
struct TidyLexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var depth = 0
    private(set) var tokens: [TidyToken] = []
    private(set) var comments: [Int: String] = [:]

    init(_ text: String) {
        bytes = Array(text.utf8)
    }

    /// Scans to the end, or to the parenthesis that closes an interpolation.
    mutating func scan(insideInterpolation: Bool = false) {
        var parentheses = 0
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\n"):
                line += 1
                position += 1
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
                lineComment()
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"):
                blockComment()
            case UInt8(ascii: "/") where regexEnd() != nil:
                emit(.literal, upTo: regexEnd() ?? position + 1)
            case UInt8(ascii: "\""):
                string(hashes: 0)
            case UInt8(ascii: "#"):
                hash()
            case UInt8(ascii: "`"):
                let end = bytes[(position + 1)...].firstIndex(of: byte) ?? bytes.endIndex - 1
                emit(.word, upTo: end + 1)
            case _ where Self.startsWord(byte):
                emit(.word, upTo: wordEnd())
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                emit(.number, upTo: wordEnd())
            case UInt8(ascii: ")") where insideInterpolation && parentheses == 0:
                position += 1
                return
            default:
                if byte == UInt8(ascii: "(") { parentheses += 1 }
                if byte == UInt8(ascii: ")") { parentheses -= 1 }
                sign(byte)
            }
        }
    }

    private func peek(_ offset: Int = 0) -> UInt8? {
        position + offset < bytes.count ? bytes[position + offset] : nil
    }

    private static func startsWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }

    private func wordEnd() -> Int {
        var end = position
        while end < bytes.count, Self.startsWord(bytes[end]) || (0x30...0x39).contains(bytes[end]) { end += 1 }
        return end
    }

    private mutating func emit(_ kind: TidyToken.Kind, upTo end: Int) {
        let text = kind == .literal ? "" : String(decoding: bytes[position..<end], as: UTF8.self)
        tokens.append(TidyToken(kind: kind, text: text, line: line, depth: depth))
        position = end
    }

    private mutating func sign(_ byte: UInt8) {
        if byte <= UInt8(ascii: " ") {
            position += 1
            return
        }
        if byte == UInt8(ascii: "}") { depth -= 1 }
        emit(.sign, upTo: position + 1)
        if byte == UInt8(ascii: "{") { depth += 1 }
    }

    private mutating func lineComment() {
        let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
        comments[line, default: ""] += String(decoding: bytes[position..<end], as: UTF8.self)
        position = end
    }

    private mutating func blockComment() {
        var nesting = 0
        var start = position
        repeat {
            if peek() == UInt8(ascii: "/"), peek(1) == UInt8(ascii: "*") {
                nesting += 1
                position += 2
            } else if peek() == UInt8(ascii: "*"), peek(1) == UInt8(ascii: "/") {
                nesting -= 1
                position += 2
            } else {
                if peek() == UInt8(ascii: "\n") {
                    comments[line, default: ""] += String(decoding: bytes[start..<position], as: UTF8.self)
                    line += 1
                    start = position + 1
                }
                position += 1
            }
        } while nesting > 0 && position < bytes.count
        position = min(position, bytes.count)
        comments[line, default: ""] += String(decoding: bytes[min(start, position)..<position], as: UTF8.self)
    }

    /// `#"…"#`, `#/…/#` or a plain `#` as in `#if`.
    private mutating func hash() {
        var count = 0
        while peek(count) == UInt8(ascii: "#") { count += 1 }
        if peek(count) == UInt8(ascii: "\"") {
            position += count
            string(hashes: count)
        } else if peek(count) == UInt8(ascii: "/") {
            emit(.literal, upTo: position + count + 1)
            while let byte = peek(), !(byte == UInt8(ascii: "/") && hashes(at: position + 1) >= count) {
                if byte == UInt8(ascii: "\n") { line += 1 }
                position += byte == UInt8(ascii: "\\") ? 2 : 1
            }
            position += count + 1
        } else {
            emit(.sign, upTo: position + 1)
        }
    }

    private func hashes(at start: Int) -> Int {
        var count = 0
        while start + count < bytes.count, bytes[start + count] == UInt8(ascii: "#") { count += 1 }
        return count
    }

    private mutating func string(hashes count: Int) {
        let quote = UInt8(ascii: "\"")
        let quotes = peek(1) == quote && peek(2) == quote ? 3 : 1
        emit(.literal, upTo: position + quotes)
        while let byte = peek() {
            if byte == UInt8(ascii: "\\"), hashes(at: position + 1) >= count {
                position += 1 + count
                if peek() == UInt8(ascii: "(") {
                    position += 1
                    scan(insideInterpolation: true)
                } else if peek() != UInt8(ascii: "\n") {
                    position += 1
                }
            } else if byte == quote, (1..<quotes).allSatisfy({ peek($0) == quote }),
                hashes(at: position + quotes) >= count
            {
                position += quotes + count
                return
            } else {
                if byte == UInt8(ascii: "\n") {
                    // An unfinished string does not compile; ending it here keeps the rest readable.
                    if quotes == 1 { return }
                    line += 1
                }
                position += 1
            }
        }
    }

    /// The end of a bare regex literal that starts here, or nil when this slash divides.
    private func regexEnd() -> Int? {
        guard let next = peek(1), next != UInt8(ascii: " "), next != UInt8(ascii: "\n") else { return nil }
        if let last = tokens.last, last.line == line {
            switch last.kind {
            case .literal, .number: return nil
            case .word where !["in", "return", "case", "if", "while"].contains(last.text): return nil
            case .sign where !["(", ",", "=", ":", "["].contains(last.text): return nil
            default: break
            }
        }
        var end = position + 1
        while end < bytes.count, bytes[end] != UInt8(ascii: "\n") {
            if bytes[end] == UInt8(ascii: "/") { return end + 1 }
            end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }
}
