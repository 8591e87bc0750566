import Foundation

@testable import ALDCore

/// What a process has done to its files, as the library in `Fixtures/Spool` records it, and what a disk may hold of it
/// when the power fails: everything that was synced, and of the rest whatever chance leaves.
enum DiskRecord {
    struct Event {
        var letter: UInt8
        var name: String
        var offset: Int
        var data: Data
    }

    private struct File {
        var durable = Data()
        /// Writes and truncations since the last sync.
        var pending: [Event] = []
    }

    static func read(_ path: String, directory: String) throws -> [Event] {
        let content = try Data(contentsOf: URL(fileURLWithPath: path))
        var events: [Event] = []
        var position = content.startIndex
        func number() -> Int {
            defer { position += 8 }
            return content[position..<position + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        while position < content.endIndex {
            let letter = content[position]
            position += 1
            let (offset, nameLength, dataLength) = (number(), number(), number())
            let name = String(decoding: content[position..<position + nameLength], as: UTF8.self)
            position += nameLength
            let data = content[position..<position + dataLength]
            position += dataLength
            events.append(
                Event(letter: letter, name: String(name.dropFirst(directory.count)), offset: offset, data: data))
        }
        return events.map { event in
            guard event.letter == UInt8(ascii: "R") else { return event }
            var event = event
            event.data = Data(String(decoding: event.data, as: UTF8.self).dropFirst(directory.count).utf8)
            return event
        }
    }

    /// Makes the directory `target` what the disk holds when the power fails after `events`.
    ///
    /// - Returns: the lines that the process had written to its output by then.
    static func play(
        _ events: ArraySlice<Event>, into target: String, random: inout SeededGenerator
    ) throws -> [String] {
        var files: [String: File] = [:]
        var output = Data()
        for event in events {
            switch event.letter {
            case UInt8(ascii: "A"): output += event.data
            case UInt8(ascii: "U"): files[event.name] = nil
            case UInt8(ascii: "R"):
                files[String(decoding: event.data, as: UTF8.self)] = files.removeValue(forKey: event.name)
            case UInt8(ascii: "S"):
                var file = files[event.name] ?? File()
                for pending in file.pending { apply(pending, to: &file.durable) }
                file.pending = []
                files[event.name] = file
            default: files[event.name, default: File()].pending.append(event)
            }
        }
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
        // A disk may lose all of it, keep all of it, or any part.
        let odds = [0, 50, 90, 100].randomElement(using: &random) ?? 0
        for (name, file) in files.sorted(by: { $0.key < $1.key }) where !name.isEmpty && !name.dropFirst().contains("/")
        {
            var content = file.durable
            for pending in file.pending where Int.random(in: 0..<100, using: &random) < odds {
                apply(pending, to: &content)
            }
            try content.write(to: URL(fileURLWithPath: target + name))
        }
        return String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static func apply(_ event: Event, to content: inout Data) {
        if event.letter == UInt8(ascii: "T") {
            if content.count > event.offset {
                content = Data(content.prefix(event.offset))
            } else {
                content += Data(count: event.offset - content.count)
            }
            return
        }
        let end = event.offset + event.data.count
        if content.count < end { content += Data(count: end - content.count) }
        content.replaceSubrange(event.offset..<end, with: event.data)
    }
}
