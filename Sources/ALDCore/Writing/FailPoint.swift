/// A place between acceptance and PostgreSQL at which a test ends the process. Each stands between two steps that a
/// crash must never tear apart.
///
/// Sealing has no point of its own: a batch is sealed by the commit that accepts it.
package enum FailPoint: String, CaseIterable, Sendable {
    /// Everything that an earlier process has left was read; the new origin is not durable yet.
    case openedBeforeOrigin = "opened-before-origin"
    case openedAfterOrigin = "opened-after-origin"

    /// The batch has its name and nothing of it is on the disk.
    case acceptBeforeCommit = "accept-before-commit"
    /// It is written, the transaction is open.
    case acceptInCommit = "accept-in-commit"
    /// It is durable and nobody has been told.
    case acceptAfterCommit = "accept-after-commit"

    case sendBefore = "send-before"
    /// The rows of a `COPY` are on their way and not all there; nothing is claimed.
    case copyWritten = "copy-written"
    /// The database has answered; the spool does not know it.
    case sendAfter = "send-after"
    /// The spool knows it, its files do not.
    case acknowledged = "acknowledged"
    case progressBeforeSave = "progress-before-save"
    case progressInSave = "progress-in-save"
    case progressAfterSave = "progress-after-save"

    /// The full segment is copied out of its log; it is still the active one.
    case rollCheckpointed = "roll-checkpointed"
    case rollDone = "roll-done"
    /// The file of a new segment exists and the manifest does not name it.
    case segmentMade = "segment-made"
    /// It takes its space; the manifest does not name it.
    case segmentReserved = "segment-reserved"
    /// The manifest names a segment no more, its file is still there.
    case releaseNoted = "release-noted"
    case releaseDone = "release-done"

    case voidBefore = "void-before"
    /// The name is closed in the ledger; the batch is whole.
    case voidAfter = "void-after"
    case recutBefore = "recut-before"
    case recutInCommit = "recut-in-commit"
    /// Parent and parts have changed places on the disk; nobody knows it yet.
    case recutAfter = "recut-after"

    case reconcileBefore = "reconcile-before"
    /// The ledger has said what it does not know; the spool has not been told.
    case reconcileAnswered = "reconcile-answered"
    case reconcileResurrected = "reconcile-resurrected"

    case closeBefore = "close-before"
    case closeAfter = "close-after"
}

/// Told of every ``FailPoint`` that is passed. In production there is none, and passing one costs a comparison.
package struct FailPoints: Sendable {
    package static let none = FailPoints(nil)

    private let onPass: (@Sendable (FailPoint) -> Void)?

    package init(_ onPass: (@Sendable (FailPoint) -> Void)?) {
        self.onPass = onPass
    }

    func pass(_ point: FailPoint) { onPass?(point) }
}
