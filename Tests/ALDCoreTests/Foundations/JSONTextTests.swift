import Foundation
import Testing

@testable import ALDCore

@Suite("JSON that is put together") struct JSONTextTests {
    private func encoded(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(value))
    }

    private func written(_ write: (inout JSONText) -> Void) -> [UInt8] {
        var json = JSONText()
        write(&json)
        return json.utf8
    }

    @Test("texts and numbers are, byte for byte, what the library's encoder writes")
    func values() throws {
        var random = SeededGenerator(seed: 5)
        let texts = (0...0x7F).map { String(UnicodeScalar(UInt8($0))) } + ["", "a/b", "Ä\u{2028}😀", #"\"quoted\" \\ "#]
        for text in texts { #expect(written { $0.add(text: text) } == (try encoded(text)), "\(text)") }
        let numbers =
            [0, -0.0, 1, 2.5, -1e-7, 1e16, 1e17, .pi, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 0.1 + 0.2]
            + (0..<500).map { _ in Double(bitPattern: random.next()) }.filter(\.isFinite)
        for number in numbers { #expect(written { $0.add(number) } == (try encoded(number)), "\(number)") }
        for number in [0, .min, .max, -1] as [Int64] { #expect(written { $0.add(number) } == (try encoded(number))) }
        for flag in [true, false] { #expect(written { $0.add(flag) } == (try encoded(flag))) }
        for list in [[], [1], [1, 2, 3]] as [[Int64]] {
            #expect(written { $0.add(list: list) { $0.add($1) } } == (try encoded(list)))
        }
    }

    @Test("what an event says is an object with its keys in order")
    func event() throws {
        let texts = ["b": "1", "a": "x\"y", "B": "", "ab": "/", "ä": "\n"]
        let json = ProcessEvent.json(texts.mapValues { .text($0) })
        #expect(Array(json.utf8) == (try encoded(texts)))
        #expect(
            ProcessEvent.json(["n": 3, "f": true, "d": 1.5, "i": .number(.infinity), "0": .text("\0")])
                == #"{"0":"\u{2400}","d":1.5,"f":true,"i":"inf","n":3}"#.replacing(#"\u{2400}"#, with: "\u{2400}"))
        #expect(ProcessEvent.json([:]) == "{}")
    }

    @Test("a manifest that was stored is read back as it was, whatever is in it")
    func manifest() throws {
        var manifest = SpoolManifest()
        #expect(try SpoolManifest(stored: manifest.stored()) == manifest)
        manifest[1] = SpoolManifest.Segment(
            index: 1, revision: 2,
            content: [BatchRange(origin: -5, first: 1, last: 7), BatchRange(origin: 6, first: 2, last: 2)], rows: 8,
            isUsed: true, isSuspect: true)
        manifest[2] = SpoolManifest.Segment(index: 2)
        manifest.origin = .max
        manifest.released = [BatchRange(origin: 3, first: 1, last: 4), BatchRange(origin: 4, first: 1, last: 1)]
        manifest.recorded = [SpoolManifest.Recorded(machine: 7, until: -5, segment: 2)]
        manifest.add(SpoolLoss(file: "segment \"1\"", reason: "\u{1}ä", batches: [], foundAt: 5, isCertain: false))
        manifest.begin(origin: 9)
        #expect(manifest.originsSinceLoss == [9])
        #expect(try SpoolManifest(stored: manifest.stored()) == manifest)
    }

    @Test("a manifest that an earlier version has stored is read")
    func earlierManifest() throws {
        let stored = #"""
            {"checksum":"CHECKSUM",
              "losses" : [

              ],
              "nextIndex" : 2,
              "origin" : 77,
              "segments" : [
                {
                  "content" : [
                    {
                      "first" : 1,
                      "last" : 5,
                      "origin" : 77
                    }
                  ],
                  "index" : 1,
                  "isSuspect" : false,
                  "isUsed" : true,
                  "revision" : 0
                }
              ],
              "version" : 1
            }
            """#
        var crc = CRC32C()
        crc.add(Array(stored.utf8.drop { $0 != UInt8(ascii: "\n") }))
        let hex = String(crc.value, radix: 16)
        let sum = String(repeating: "0", count: 8 - hex.count) + hex
        var expected = SpoolManifest()
        expected.origin = 77
        expected[1] = SpoolManifest.Segment(
            index: 1, content: [BatchRange(origin: 77, first: 1, last: 5)], isUsed: true)
        let manifest = try SpoolManifest(stored: Data(stored.replacing("CHECKSUM", with: sum).utf8))
        #expect(manifest == expected)
        let damaged = stored.replacing("CHECKSUM", with: sum).replacing(#""last" : 5"#, with: #""last" : 4"#)
        #expect(throws: SpoolManifest.Damaged.self) { try SpoolManifest(stored: Data(damaged.utf8)) }
    }
}
