public import Logging
import Synchronization

/// Keeps what is logged, so that somebody can look for it.
public final class LogBook: Sendable {
    public struct Line: Sendable {
        public var level: Logger.Level
        /// The message, and behind it what belongs to it.
        public var text: String
    }

    /// Older lines are forgotten when there are more.
    public static let capacity = 10_000

    private let state = Mutex<(lines: [Line], counts: [Logger.Level: Int])>(([], [:]))

    public init() {}

    /// A logger that writes here and nowhere else.
    public func logger(_ level: Logger.Level = .info) -> Logger {
        var logger = Logger(label: "ald.book") { _ in Handler(book: self) }
        logger.logLevel = level
        return logger
    }

    public var lines: [Line] { state.withLock(\.lines) }

    /// How many lines were that severe or more, forgotten ones too.
    public func count(_ level: Logger.Level) -> Int {
        state.withLock { $0.counts.filter { $0.key >= level }.values.reduce(0, +) }
    }

    private func add(_ line: Line) {
        state.withLock { state in
            if state.lines.count == Self.capacity { state.lines.removeFirst(Self.capacity / 10) }
            state.lines.append(line)
            state.counts[line.level, default: 0] += 1
        }
    }

    private struct Handler: LogHandler {
        let book: LogBook
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            let words = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
            book.add(Line(level: event.level, text: "\(event.message)\(words)"))
        }
    }
}
