import ALDCore
import Foundation
import Modbus

/// What terminals that have ended may have left behind.
struct TerminalScene: Sendable {
    let plant: ProcessPlant
    /// Their place for temporary files, and nobody else's.
    let temporary: String

    private var dataDirectory: String { plant.station.dataDirectory }

    /// How the connections of the terminals have ended.
    struct Closing: Sendable {
        /// Until none was left, or nobody waited any longer.
        var took = Duration.zero
        /// Those that are left at the database and at the controller.
        var sessions = 0
        var open = 0
    }

    /// Waits until neither server has a connection of theirs any more.
    ///
    /// - Parameter began: when they were told to end.
    func awaitClosedConnections(_ run: ScenarioRun, since began: MonotonicInstant) async throws -> Closing {
        var closing = Closing()
        _ = try await run.leftovers("all connections are closed") {
            (closing.sessions, closing.open) = (
                try await databaseConnections(), plant.controller.statistics.open
            )
            return closing.sessions + closing.open
        }
        closing.took = run.time.now - began
        return closing
    }

    /// Ours are those of this process: whoever asks for commands, and this question itself.
    private func databaseConnections() async throws -> Int {
        try await TestDatabase.number(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE \(TestDatabase.otherSessions) AND application_name <> '\(ProcessPlant.asker)'
            """, plant.database)
    }

    /// Processes that run in this data directory, or were started by one that did; `nil` where the kernel does not tell.
    var processes: Int? {
        guard let all = try? FileManager.default.contentsOfDirectory(atPath: "/proc") else { return nil }
        return all.compactMap { Int32($0) }.count { process in
            let words = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
            return String(decoding: words, as: UTF8.self).contains(dataDirectory) && !ChildProcess.isFinished(process)
        }
    }

    /// The files of the locks stay, so that two processes never lock two files of one name; nobody holds them.
    var locksHeld: Int {
        get throws {
            let files = try FileManager.default.contentsOfDirectory(atPath: dataDirectory)
                .filter { $0.hasSuffix(".lock") }
            // Without them nothing is known about who held them.
            guard files.count >= Terminal.allCases.count else {
                throw NeverHappened(description: "no locks in \(dataDirectory), only \(files)")
            }
            return Terminal.allCases.count {
                TerminalLock.owner(of: $0, machine: ProcessPlant.machine, directory: dataDirectory) != nil
            }
        }
    }

    var openValves: Int {
        get throws { plant.log.pulses(of: try plant.map.parameter(named: ProcessPlant.valve).id).isOpen ? 1 : 0 }
    }

    /// Files that belong to something that was under way: all temporary ones, and those of replacing and of SQLite's log.
    var leftOver: [String] {
        get throws {
            let temporaries = try FileManager.default.subpathsOfDirectory(atPath: temporary)
            let unfinished = try FileManager.default.subpathsOfDirectory(atPath: dataDirectory).filter { path in
                [".new", ".tmp", ".pid", "-wal", "-shm", "-journal"].contains { path.hasSuffix($0) }
            }
            return temporaries + unfinished
        }
    }

    /// What the process that was each terminal has said last.
    var lastLines: [TerminalProcesses.Kind: String] {
        var lines: [TerminalProcesses.Kind: String] = [:]
        for kind in TerminalProcesses.Kind.allCases { lines[kind] = plant.terminals.ended(kind)?.result.errors.last }
        return lines
    }
}
