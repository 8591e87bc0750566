/// What the ledger says of one batch of a delivery. The whole delivery is one transaction.
public enum BatchLanding: Hashable, Sendable {
    /// Its rows are in the database now.
    case landed
    /// They were already: an earlier attempt had succeeded.
    case known
    /// Its writer had promised never to send it again, because it had been confirmed. Nothing was written.
    case forgotten
    /// The name is taken by other contents. Nothing was written.
    case collision
    /// Some of its readings are of these parameters, which nobody has registered; `isWhole`: all of them are. Nothing was
    /// written.
    case unregistered(Set<Int32>, isWhole: Bool)
    /// The name is closed for ever and none of its rows is or will be in the database.
    case voided
}
