import ALDCore
import Foundation
import Modbus

/// What terminals that have ended may have left behind.
struct TerminalScene: Sendable {
    let plant: ProcessPlant
    /// Their place for temporary files, and nobody else's.
    let temporary: String

    private var dataDirectory: String { plant.station.dataDirectory }

    /// Waits until neither server has a connection of theirs any more, and notes how long that was after `began`.
    func awaitClosedConnections(_ run: ScenarioRun, since began: MonotonicInstant) async throws {
        var (sessions, open) = (0, 0)
        _ = try await run.leftovers("all connections are closed", within: run.duration) {
            (sessions, open) = (try await databaseConnections(), plant.controller.statistics.open)
            return sessions + open
        }
        run.note("connections closed", run.time.now - began)
        run.note("database connections left", count: sessions)
        run.note("controller connections left", count: open)
    }

    /// Ours are those of this process: whoever asks for commands, and this question itself.
    private func databaseConnections() async throws -> Int {
        try await TestDatabase.number(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
                AND application_name <> '\(ProcessPlant.asker)'
            """, plant.database)
    }

    /// Processes that run in this data directory, or were started by one that did.
    var processes: Int {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
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
    func leftOver(_ run: ScenarioRun) throws -> Int {
        let temporaries = try FileManager.default.subpathsOfDirectory(atPath: temporary)
        let unfinished = try FileManager.default.subpathsOfDirectory(atPath: dataDirectory).filter { path in
            [".new", ".tmp", ".pid", "-wal", "-shm", "-journal"].contains { path.hasSuffix($0) }
        }
        for path in (temporaries + unfinished).prefix(3) { run.say("left over: \(path)") }
        return temporaries.count + unfinished.count
    }

    /// How many of the processes that have ended do not say these words in their last line.
    func missing(_ words: String, _ run: ScenarioRun) -> Int {
        TerminalProcesses.Kind.allCases.count { kind in
            let last = plant.terminals.ended(kind)?.result.errors.last ?? ""
            if !last.contains(words) { run.say("\(kind.rawValue) said last: \(last)") }
            return !last.contains(words)
        }
    }
}
