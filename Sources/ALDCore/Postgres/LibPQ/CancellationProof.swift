/// What is known about a session whose statement was abandoned.
///
/// If the statement did not end by our request, that request may still be under way and could hit the next statement.
struct CancellationProof {
    /// The last cancel request is through.
    var isDelivered: Bool
    /// The server has answered and is idle again.
    var isAnswered: Bool
    /// Its answer is "cancelled" (57014).
    var isCancelled: Bool
    var isAlive: Bool

    /// Whether the session can run another statement.
    var isClean: Bool { isDelivered && isAnswered && isCancelled && isAlive }
}
