/// The tables of one machine's recipe commands and processes, as one recipe service sees them: ``RecipeDesk`` in
/// production, a model of it in a simulated world. Whatever throws may have happened all the same; only a `PostgresError`
/// says that it was the database.
package protocol RecipeTable: Sendable {
    /// Claims and begins the oldest command. One that is returned is to be executed.
    ///
    /// - Parameter known: commands that were returned before and whose end is not noted yet. One whose answer was lost is
    ///   returned again, unless it was adopted meanwhile or has come too late; a stop always is.
    func take(known: [Int64], deadline: MonotonicInstant) async throws -> RecipeDesk.Taken?
    /// What another terminal was executing and whose lease has ended, until its end is noted: to find out how it ended,
    /// never to do it again.
    func adopt(deadline: MonotonicInstant) async throws -> [RecipeDesk.Taken]
    func renew(_ ids: [Int64], deadline: MonotonicInstant) async throws
    /// Notes how a command ended. Safe to repeat.
    ///
    /// - Returns: whether the record says so now; not yet while its process has not ended there. `nil`: the command is not
    ///   this terminal's any more.
    func finish(_ finished: RecipeDesk.Finished, deadline: MonotonicInstant) async throws -> Bool?
    func load(_ command: RecipeDesk.Taken, deadline: MonotonicInstant) async throws -> Recipe
    /// What must hold before a recipe starts, as it is in force now.
    func idleConditions(deadline: MonotonicInstant) async throws -> [IdleCondition]
    /// How far set points may read back from what was written, in their units; those that are not named are exact.
    func readbackTolerances(deadline: MonotonicInstant) async throws -> [ParameterID: Double]
    /// Enters the process, or says why it may not run now. Safe to repeat.
    ///
    /// - Parameter valves: nobody else opens them while it runs.
    func begin(
        _ command: RecipeDesk.Taken, steps: Int64, valves: [Int32], deadline: MonotonicInstant
    ) async throws -> Result<Int64, RecipeStore.Problem>
    /// Processes of recipes that the database takes for running; at most one.
    func open(deadline: MonotonicInstant) async throws -> [RecipeDesk.LeftProcess]
    /// How the process ended that a command is about: of a start command its own, of others the one they name.
    ///
    /// - Returns: `nil` when there is none; an empty status while it has not ended.
    func outcome(
        of command: RecipeDesk.Taken, deadline: MonotonicInstant
    ) async throws -> (process: Int64, status: String, error: String?)?
}
