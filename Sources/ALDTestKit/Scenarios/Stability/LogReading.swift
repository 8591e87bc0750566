import ALDCore
import Foundation

/// What was read back of the numbered lines of one service. Each of its writers counts from zero.
struct LogReading {
    var lines = 0
    /// Lines that are missing, doubled, torn or out of order.
    var problems: [String] = []
    /// That were put away.
    var files: Set<String> = []
    /// Of these, and of the one that is being written.
    var sizes: [String: Int64] = [:]
    var dates: Set<String> = []
    /// Lines of another day than that of the file.
    var misplaced = 0
    /// Lines of the file that is being written, by day.
    private var written: [String: Int] = [:]
    private var next: [Int: Int] = [:]
    private var first: [Int: Int] = [:]
    private var lastTime = ""

    /// - Parameter archive: `nil`: in the file that is being written.
    mutating func read(_ line: String, _ archive: LogArchive?) {
        lines += 1
        let (time, date) = (String(line.prefix(27)), String(line.prefix(10)))
        dates.insert(date)
        sizes[archive?.name ?? "", default: 0] += Int64(line.utf8.count + 1)
        if let archive {
            files.insert(archive.name)
            if archive.date != date { misplaced += 1 }
        } else {
            written[date, default: 0] += 1
        }
        guard line.hasSuffix(" x=end"), let number = Self.number("number", line),
            let writer = Self.number("writer", line)
        else { return problems.append("torn: \(line.prefix(60))") }
        if let expected = next[writer], number != expected {
            problems.append("writer \(writer): line \(number) instead of \(expected)")
        }
        if time < lastTime { problems.append("\(time) behind \(lastTime)") }
        lastTime = time
        first[writer] = first[writer] ?? number
        next[writer] = number + 1
    }

    private static func number(_ name: String, _ line: String) -> Int? {
        guard let place = line.range(of: " \(name)=") else { return nil }
        return Int(line[place.upperBound...].prefix { $0.isNumber })
    }

    /// - Parameters:
    ///   - count: of each writer.
    ///   - isComplete: whether none was deleted because it was old.
    mutating func end(linesOfEach count: Int, writers: Int, isComplete: Bool) {
        for writer in 0..<writers {
            if next[writer] != count {
                problems.append("writer \(writer) ends at \(next[writer] ?? 0), not at \(count)")
            }
            if isComplete, first[writer] != 0 {
                problems.append("writer \(writer) begins at \(first[writer] ?? -1)")
            }
        }
        // It is the file of the newest day in it.
        let newest = written.keys.max()
        misplaced += written.reduce(0) { $0 + ($1.key == newest ? 0 : $1.value) }
        written = [:]
    }
}
