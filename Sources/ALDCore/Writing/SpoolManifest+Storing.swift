import Foundation

/// The file of a manifest: JSON that begins with a checksum of all that follows. Earlier versions wrote none.
///
/// ```
/// {"checksum":"1c291ca3",
///   "losses" : [ …
/// ```
/// A digit that the disk has changed leaves it readable. It could make the file that counts one that was never finished,
/// and that is deleted; without a manifest all files are read.
extension SpoolManifest {
    /// It is not what was written.
    struct Damaged: Error, Hashable {
        var reason: String
    }

    private static let beginning = Array(#"{"checksum":""#.utf8)
    private static let middle = Array(#"","#.utf8)
    private static let digits = 8

    func stored() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        // Its first brace is in the beginning.
        let rest = [UInt8](try encoder.encode(self).dropFirst())
        return Data(Self.beginning + Self.checksum(rest) + Self.middle + rest)
    }

    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        var crc = CRC32C()
        crc.add(bytes)
        let hex = String(crc.value, radix: 16)
        return Array((String(repeating: "0", count: digits - hex.count) + hex).utf8)
    }

    /// - Throws: ``Damaged``, or what the decoder says.
    init(stored content: Data) throws {
        if content.starts(with: Self.beginning) {
            let rest = content.dropFirst(Self.beginning.count)
            guard rest.starts(with: Self.checksum([UInt8](rest.dropFirst(Self.digits + Self.middle.count)))) else {
                throw Damaged(reason: "its checksum is wrong")
            }
        }
        self = try JSONDecoder().decode(SpoolManifest.self, from: content)
        guard version > Self.currentVersion || isPossible else {
            throw Damaged(reason: "it has numbers that no spool has")
        }
    }

    private var isPossible: Bool {
        (0...Int64(Int32.max)).contains(nextIndex)
            && segments.allSatisfy { segment in
                (0...Int64(Int32.max)).contains(segment.index) && segment.revision >= 0
                    && segment.content.allSatisfy(\.isPossible)
                    && (segment.rows.map { (0...SpoolPosition.lastRow).contains($0) } ?? true)
            } && losses.flatMap(\.batches).allSatisfy(\.isPossible) && (released ?? []).allSatisfy(\.isPossible)
    }
}

extension BatchRange {
    fileprivate var isPossible: Bool { first > 0 && first <= last && last < .max }
}
