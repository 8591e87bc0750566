import Foundation

/// Results go straight to standard output, line by line: a script that reads slowly makes the command wait and loses
/// nothing.
enum LineOutput {
    static func write(_ line: String) throws { try write(text: line + "\n") }

    static func write(text: String) throws {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        } catch {
            throw Failure(.unavailable, "standard output cannot be written: \(error.localizedDescription)")
        }
    }

    /// One JSON value on one line.
    static func write(json value: some Encodable) throws { try write(text: try line(json: value)) }

    /// One JSON value and the end of its line.
    static func line(json value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Measurements may be infinite, and one of them must not cost all others.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }
}
