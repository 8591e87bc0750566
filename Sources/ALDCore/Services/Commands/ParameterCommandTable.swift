/// The table of one machine's parameter commands, as one terminal sees it: ``CommandDesk`` in production, a model of it
/// in a simulated world. Whatever throws may have happened all the same.
package protocol ParameterCommandTable: Sendable {
    /// Claims and begins up to `limit` commands, at most one per parameter. All that are returned are to be executed.
    ///
    /// - Parameter known: commands of this terminal that were returned before and whose end is not noted yet. Others that
    ///   it has begun are returned again.
    func take(limit: Int, known: Set<Int64>, deadline: MonotonicInstant) async throws -> [CommandDesk.Taken]
    /// What somebody was executing whose lease has ended: to find out how it ended, never to do it again.
    func adopt(deadline: MonotonicInstant) async throws -> [CommandDesk.Taken]
    /// Which commands say that this terminal began them and executes them. Changes nothing.
    func begun(deadline: MonotonicInstant) async throws -> [Int64]
    /// Prolongs the leases of commands that are being executed.
    ///
    /// - Returns: those whose lease had ended before.
    func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws -> Set<Int64>
    /// Notes how commands ended. Safe to repeat.
    ///
    /// - Returns: those whose records say so now; the others are not this terminal's any more.
    func finish(_ finished: [CommandDesk.Finished], deadline: MonotonicInstant) async throws -> Set<Int64>
}
