public import ALDCore
public import Logging

extension WorldNode {
    /// Opens a spool that works on this node, in its time: a commit takes half a millisecond, as on a disk.
    ///
    /// - Parameters:
    ///   - directory: must exist. On a simulated disk nothing is put there but the lock of its owner.
    ///   - disk: keeps what was committed when the node crashes. The next life opens its spool on the same one, after
    ///     `close()` has given up the lock; what that stored is undone with ``SimulatedDisk/restore(_:)``. `nil` keeps the
    ///     spool in files, with SQLite in the run.
    ///   - random: draws its origin. A stream of the world, so that the run can be replayed.
    public func spool(
        in directory: String, on disk: SimulatedDisk?, configuration: Spool.Configuration = Spool.Configuration(),
        random: inout some RandomNumberGenerator, logger: Logger
    ) throws(SpoolError) -> Spool {
        var configuration = configuration
        configuration.disk = disk
        return try Spool(
            directory: directory, configuration: configuration, random: &random, turns: turns, time: time,
            logger: logger)
    }

    /// What gives a spool its turns.
    private var turns: SpoolTurns {
        .simulated { moment, turn in
            switch moment {
            case .soon: self.schedule(after: .microseconds(500), turn)
            case .idle: self.schedule(after: .milliseconds(50), turn)
            case .quiet: self.schedule(after: .seconds(2), turn)
            }
        }
    }
}
