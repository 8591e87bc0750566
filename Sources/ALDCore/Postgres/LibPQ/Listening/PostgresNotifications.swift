import Synchronization

/// The notifications of a listening session, in the order of their arrival; see
/// ``PostgresConnection/listen(to:capacity:deadline:_:)``.
///
/// They are read while nobody takes them, too, so that a slow listener never holds up the server's queue. When
/// `capacity` of them wait, the oldest is dropped for each that arrives, and ``PostgresNotification/dropped`` counts it.
public struct PostgresNotifications: AsyncSequence, Sendable {
    public typealias Element = PostgresNotification
    public typealias Failure = PostgresError

    let mailbox: NotificationMailbox

    public func makeAsyncIterator() -> Iterator {
        Iterator(mailbox: mailbox)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let mailbox: NotificationMailbox

        /// The next notification; waits for it as long as it takes. `nil` when the task was cancelled or the listening
        /// has ended with its closure.
        ///
        /// - Throws: why the session ended: `connectionLost`.
        public func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(PostgresError) -> PostgresNotification? {
            while true {
                switch mailbox.take() {
                case .notification(let notification): return notification
                case .ended(nil): return nil
                case .ended(let error?): throw error
                case .nothing:
                    if Task.isCancelled { return nil }
                    await mailbox.bell.wait()
                }
            }
        }

        public func next() async throws(PostgresError) -> PostgresNotification? {
            try await next(isolation: nil)
        }
    }
}

/// Between the connection, which reads, and the one task that takes.
final class NotificationMailbox: Sendable {
    private let buffer: Mutex<NotificationBuffer>
    let bell = Wakeup()

    init(capacity: Int) {
        buffer = Mutex(NotificationBuffer(capacity: capacity))
    }

    func change(_ change: (inout NotificationBuffer) -> Void) {
        buffer.withLock { change(&$0) }
        bell.signal()
    }

    func take() -> NotificationBuffer.Take {
        buffer.withLock { $0.take() }
    }
}
