/// Removes passwords from texts that libpq or a server produced.
struct Redaction: Sendable {
    private let secrets: [String]

    /// - Parameter options: connection options; the values of ``ConnectionOptions/secretKeywords`` are the secrets.
    init(_ options: [String: String]) {
        secrets = ConnectionOptions.secretKeywords.compactMap { options[$0] }.filter { !$0.isEmpty }
    }

    func redact(_ text: String) -> String {
        secrets.reduce(text) { $0.replacing(secret: $1) }
    }

    /// libpq's complaint about a string it could not parse, made safe to show.
    ///
    /// It quotes the place that confused it, and with an unquoted blank or a raw `@` that place is a piece of the
    /// password. As nobody knows where the password of an invalid string ends, every quotation is dropped as soon as
    /// the string may contain one.
    static func parseError(_ message: String, in connectionString: String) -> String {
        let text = message.trimmed
        let lowered = connectionString.lowercased()
        let mayHoldPassword = lowered.contains("password") || lowered.contains("@")
        guard mayHoldPassword else { return text }
        guard let first = text.firstIndex(of: "\""), let last = text.lastIndex(of: "\"") else {
            return text.replacing(secret: connectionString)
        }
        return text[..<first] + "\"***\"" + text[last...].dropFirst()
    }
}

extension String {
    /// Without white space and line ends at both ends.
    var trimmed: String {
        guard let first = firstIndex(where: { !$0.isWhitespace }),
            let last = lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return String(self[first...last])
    }

    /// Every occurrence of `secret` as `***`. Compared by bytes: characters could merge across the edges.
    fileprivate func replacing(secret: String) -> String {
        let needle = Array(secret.utf8)
        let hay = Array(utf8)
        guard !needle.isEmpty, hay.count >= needle.count else { return self }
        var output: [UInt8] = []
        var position = 0
        while position < hay.count {
            if hay[position...].starts(with: needle) {
                output += Array("***".utf8)
                position += needle.count
            } else {
                output.append(hay[position])
                position += 1
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
