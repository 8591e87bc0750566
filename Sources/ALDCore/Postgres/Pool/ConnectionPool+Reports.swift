import Logging

/// What the pool tells: everything to its observer, what is notable to the log.
extension ConnectionPool {
    func report(_ event: PoolEvent) {
        observer?.poolDidObserve(event)
        guard event.isNotable else { return }
        let (level, message, metadata) = Self.line(for: event)
        logger.log(level: level, message, metadata: metadata)
    }

    private static func line(for event: PoolEvent) -> (Logger.Level, Logger.Message, Logger.Metadata) {
        switch event {
        case .leak(let stage, let lease):
            (
                stage == .warned ? .warning : .error, message(for: stage),
                [
                    "holder": "\(lease.holder.name)", "lane": "\(lease.lane)", "age": "\(text(lease.age))",
                    "source": "\(lease.holder.fileID):\(lease.holder.line)",
                ]
            )
        case .lateReturn: (.warning, "a connection was given back that had been taken back before", [:])
        case .evicted(let reason, let generation):
            (.notice, "all connections are being replaced", ["reason": "\(reason)", "generation": "\(generation)"])
        case .paused(let reason): (.notice, "the connection pool is paused", ["reason": "\(reason)"])
        case .resumed: (.notice, "the connection pool is resumed", [:])
        case .outageBegan(let error): (.warning, "cannot connect to the database", ["error": "\(error)"])
        case .outageEnded(let failures, let lasted):
            (.notice, "connected to the database again", ["failures": "\(failures)", "lasted": "\(text(lasted))"])
        case .closed(let cause, let age):
            (
                .notice, cause == .dead ? "a connection was found dead" : "a connection came back unusable",
                ["age": "\(text(age))"]
            )
        case .leased, .returned, .failed, .connected, .connectFailed, .breaker: (.debug, "\(event)", [:])
        }
    }

    private static func message(for stage: LeakStage) -> Logger.Message {
        switch stage {
        case .warned: "a connection has been lent for very long"
        case .cancelled: "a connection has been lent for too long: its statement is cancelled"
        case .reclaimed: "a connection was not given back: it is closed and replaced"
        }
    }

    private static func text(_ duration: Duration) -> String { Machine.text(duration) }
}
