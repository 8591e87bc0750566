import ALDCore
import Foundation
import Logging

/// Writes log records as lines: time, level, message, metadata.
struct TextLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let write: @Sendable (String) -> Void

    init(level: Logger.Level, write: @escaping @Sendable (String) -> Void) {
        logLevel = level
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let time = Date.now.formatted(.iso8601.time(includingFractionalSeconds: true))
        write("\(time) \(event.text(with: metadata))")
    }
}
