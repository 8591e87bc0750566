import Foundation

/// The file of a manifest: JSON that begins with a checksum of all that follows. Earlier versions wrote none.
///
/// ```
/// {"checksum":"1c291ca3","losses":[],"nextIndex":3,"origin":…,
/// "segments":[
/// {"content":[{"first":1,"last":60,"origin":…}],"index":1,"isSuspect":false,"isUsed":true,"revision":0,"rows":60},
/// …
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
        let rest = try rest().utf8
        return Data(Self.beginning + Self.checksum(rest) + Self.middle + rest)
    }

    /// What is behind the checksum. The names are those that a decoder looks for.
    private func rest() throws -> JSONText {
        var json = JSONText()
        json.add("\"losses\":")
        // Hardly ever there, and full of text.
        if losses.isEmpty { json.add("[]") } else { json.add(json: try JSONEncoder().encode(losses)) }
        json.add(",\"nextIndex\":")
        json.add(nextIndex)
        json.add(",\"origin\":")
        json.add(origin)
        if let originsSinceLoss {
            json.add(",\"originsSinceLoss\":")
            json.add(list: originsSinceLoss) { $0.add($1) }
        }
        if let recorded {
            json.add(",\"recorded\":")
            json.add(list: recorded) { $1.write(to: &$0) }
        }
        if let released {
            json.add(",\"released\":")
            json.add(list: released) { $1.write(to: &$0) }
        }
        json.add(",\n\"segments\":")
        json.add(list: segments) { json, segment in
            json.add("\n")
            segment.write(to: &json)
        }
        json.add(",\n\"version\":")
        json.add(Int64(version))
        json.add("}\n")
        return json
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
            } && (recorded ?? []).allSatisfy { (0..<nextIndex).contains($0.segment) }
            && losses.flatMap(\.batches).allSatisfy(\.isPossible) && (released ?? []).allSatisfy(\.isPossible)
    }
}

extension SpoolManifest.Segment {
    fileprivate func write(to json: inout JSONText) {
        json.add("{\"content\":")
        json.add(list: content) { $1.write(to: &$0) }
        json.add(",\"index\":")
        json.add(index)
        json.add(",\"isSuspect\":")
        json.add(isSuspect)
        json.add(",\"isUsed\":")
        json.add(isUsed)
        json.add(",\"revision\":")
        json.add(Int64(revision))
        if let rows {
            json.add(",\"rows\":")
            json.add(rows)
        }
        json.add("}")
    }
}

extension SpoolManifest.Recorded {
    fileprivate func write(to json: inout JSONText) {
        json.add("{\"machine\":")
        json.add(Int64(machine))
        json.add(",\"segment\":")
        json.add(segment)
        json.add(",\"until\":")
        json.add(until)
        json.add("}")
    }
}

extension BatchRange {
    fileprivate func write(to json: inout JSONText) {
        json.add("{\"first\":")
        json.add(first)
        json.add(",\"last\":")
        json.add(last)
        json.add(",\"origin\":")
        json.add(origin)
        json.add("}")
    }

    fileprivate var isPossible: Bool { first > 0 && first <= last && last < .max }
}
