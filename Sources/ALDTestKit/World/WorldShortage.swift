import ALDCore
import Synchronization

/// What a full disk has made a spool give up that had landed, and that the database had forgotten before anybody knew.
///
/// A spool keeps what has landed for such a database, as long as it has the room. So these are no losses of its own,
/// unless it was just being found out what the database still has: then nothing may be given up.
final class WorldShortage: Sendable {
    private struct State {
        var spool: Spool?
        var records = 0
        var times: Set<Timestamp> = []
        var inDoubt = 0
    }

    private let database: WorldDatabase
    private let state = Mutex(State())

    init(_ database: WorldDatabase) { self.database = database }

    /// Records that nobody can bring back.
    var records: Int { state.withLock(\.records) }
    /// The instants of those that are readings.
    var times: Set<Timestamp> { state.withLock(\.times) }
    /// Files that went although it was known that the database might need them.
    var inDoubt: Int { state.withLock(\.inDoubt) }

    func watch(_ disk: SimulatedDisk) { disk.onShortage { self.deleted($0) } }

    /// Whose files they are from now on.
    func follow(_ spool: Spool) { state.withLock { $0.spool = spool } }

    private func deleted(_ batches: [StoredBatch]) {
        let lost = batches.compactMap { database.forgotten($0.header.id) }
        guard !lost.isEmpty else { return }
        let isDoubted = state.withLock(\.spool)?.isDoubted ?? false
        state.withLock { state in
            if isDoubted { state.inDoubt += 1 }
            for batch in lost {
                state.records += batch.records.count
                guard case .history(let rows) = batch.records else { continue }
                state.times.formUnion(rows.map(\.time))
            }
        }
    }
}
