/// How long an orderly end may take, part by part.
///
/// Whoever ends a process waits for 30 s before it is killed, and what must not be missed by then comes first: the
/// machine is made safe, then what became of it is written down. The parts are parts of that whole, so that none can grow
/// without another one giving way.
public enum ShutdownBudget {
    /// From the signal to the end of the process.
    public static let total: Duration = .seconds(30)
    /// Of it, for a private database server that has to be ended by force, and for closing files.
    static let closing: Duration = .seconds(5)
    /// After this everything that has not ended in order is cancelled.
    public static let ordered = total - closing
    /// Of it, for what ends after the terminals that move the machine: the last cycle, the writers of what was recorded,
    /// the pool, and the word to the registry.
    static let recording: Duration = .seconds(5)
    /// How long the terminals that move the machine have, all at the same time: recipes and commands.
    public static let machine = ordered - recording
    /// Of Terminal 3, which has nothing to secure: what it is writing, and its record.
    public static let commands = machine / 2
}
