import CLibPQ
import Logging

/// Takes what a server says unasked: notices go to the log, and the farewell of a server that ended an idle session
/// is kept, because libpq reports it nowhere else.
///
/// Used only by libpq's calls for the connection that owns it, which all happen on the reactor's thread.
final class NoticeSink {
    private let logger: Logger
    let redaction: Redaction
    private let place: String
    private(set) var farewell: PostgresError?
    /// How many messages have come.
    private(set) var count = 0
    /// How many of them were warnings.
    private(set) var warnings = 0

    init(logger: Logger, redaction: Redaction, place: String) {
        self.logger = logger
        self.redaction = redaction
        self.place = place
    }

    func receive(_ result: OpaquePointer) {
        let notice = PostgresError(result: result, isAlive: true, place: place, redaction: redaction)
        count += 1
        switch notice.severity {
        case "FATAL", "PANIC":
            farewell = notice
            logger.info("the server ended the session", metadata: ["error": "\(notice)"])
        case "WARNING":
            warnings += 1
            logger.warning("\(notice.message)", metadata: metadata(of: notice))
        default:
            logger.debug("\(notice.message)", metadata: metadata(of: notice))
        }
    }

    private func metadata(of notice: PostgresError) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["server": "\(place)"]
        if let state = notice.sqlState { metadata["sqlstate"] = "\(state)" }
        if let detail = notice.detail { metadata["detail"] = "\(detail)" }
        return metadata
    }
}

/// The C entry point; `context` is the `NoticeSink` that ``LibPQHandle`` keeps alive.
func receiveNotice(context: UnsafeMutableRawPointer?, result: OpaquePointer?) {
    guard let context, let result else { return }
    Unmanaged<NoticeSink>.fromOpaque(context).takeUnretainedValue().receive(result)
}
