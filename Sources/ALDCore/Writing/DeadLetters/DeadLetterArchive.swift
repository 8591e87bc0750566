import Crypto
import Foundation

/// Dead letters in a file: one line of JSON each, with everything the database has of it and a checksum.
///
/// ```
/// {"format":"ald dead letter","version":1,"sha256":"…","content":{"letter":{…},"events":[…],"record":{…}}}
/// ```
/// `letter` and `events` are the database's rows as it writes them; `record` says for people what the bytes mean and is
/// not read again. The checksum is of the bytes of `content`, so a line that was changed on the way is refused.
public enum DeadLetterArchive {
    /// A line whose checksum is right.
    public struct Item: Hashable, Sendable {
        public var name: DeadLetterName
        /// JSON, as it was exported.
        public var content: String
    }

    /// Why a line is no dead letter.
    public struct Damaged: Error, Hashable, Sendable, CustomStringConvertible {
        public var description: String
    }

    private static let beginning = #"{"format":"ald dead letter","version":1,"sha256":""#
    private static let middle = #"","content":"#
    private static let end = "}"

    static func line(letter: String, events: String, record: RecordDocument?) -> String {
        let content = #"{"letter":\#(letter),"events":\#(events),"record":\#(record?.json ?? "null")}"#
        return beginning + checksum(content) + middle + content + end
    }

    private static func checksum(_ content: String) -> String {
        SHA256.hash(data: Array(content.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    private struct Content: Decodable {
        struct Letter: Decodable {
            var machine_id: Int32
            var origin: Int64
            var batch_number: Int64
            var row_number: Int32
        }
        var letter: Letter
    }

    /// Reads a line.
    ///
    /// - Throws: when it is none of ours, of a later version, or not what was written.
    public static func read(_ line: String) throws(Damaged) -> Item {
        guard line.hasPrefix(beginning) else {
            throw Damaged(
                description: line.hasPrefix(#"{"format":"ald dead letter""#)
                    ? "it is of a version that this program does not know" : "it is no exported dead letter")
        }
        let rest = line.dropFirst(beginning.count)
        let digest = rest.prefix(64)
        guard rest.dropFirst(64).hasPrefix(middle), rest.hasSuffix(end) else {
            throw Damaged(description: "it is cut short")
        }
        let content = String(rest.dropFirst(64 + middle.count).dropLast(end.count))
        guard checksum(content) == digest else { throw Damaged(description: "its checksum is wrong, it was changed") }
        do {
            let letter = try JSONDecoder().decode(Content.self, from: Data(content.utf8)).letter
            let name = DeadLetterName(
                machine: letter.machine_id, batch: BatchID(origin: letter.origin, number: letter.batch_number),
                row: letter.row_number)
            return Item(name: name, content: content)
        } catch {
            throw Damaged(description: "it names no letter")
        }
    }
}
