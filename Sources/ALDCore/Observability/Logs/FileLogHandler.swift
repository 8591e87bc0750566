public import Logging

/// Writes log records to a ``LogFile``: civil time (UTC), level, message, metadata by name.
public struct FileLogHandler: LogHandler {
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]
    private let file: LogFile
    private let time: any TimeSource

    public init(_ file: LogFile, level: Logger.Level = .info, time: any TimeSource = SystemTime()) {
        (self.file, self.time) = (file, time)
        logLevel = level
    }

    public subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        file.append("\(time.wallClock) \(event.text(with: metadata))")
    }
}

extension LogEvent {
    /// Level, message, and metadata by name; those of the event before those of its logger.
    package func text(with metadata: Logger.Metadata) -> String {
        let fields = metadata.merging(self.metadata ?? [:]) { $1 }
            .sorted { $0.key < $1.key }
            .map { " \($0.key)=\($0.value)" }.joined()
        return "\(level) \(message)\(fields)"
    }
}
