import ALDCore
import Foundation

/// What `ald status` prints: the machine as the database has it, and this directory's spool.
struct MachineReport {
    let machine: Int32
    /// `nil` when the database could not be asked; then `problem` says why.
    let status: MachineStatus?
    let problem: String?
    /// Of Terminal 1.
    let spool: SpoolReport?
    /// Of Terminal 2.
    let recipeSpool: SpoolReport?
    let now: Timestamp

    /// What somebody should look at.
    var concerns: [String] {
        var concerns: [String] = []
        if let problem { concerns.append("the database cannot be asked: \(problem)") }
        if let status {
            for terminal in status.terminals {
                if terminal.isSilent {
                    concerns.append(
                        "\(terminal.terminal) was not heard of for \(TextTable.span(terminal.silence))")
                } else if terminal.status == "crashed" || terminal.status == "degraded" {
                    concerns.append("\(terminal.terminal) is \(terminal.status): \(terminal.reason)")
                }
            }
            if status.state == "error" { concerns.append("the machine is in error: \(status.failure ?? "")") }
            if let unknown = status.queue.lastHour["unknown"] {
                concerns.append(
                    "\(TextTable.counted(unknown, "command")) of the last hour may or may not have been executed")
            }
        }
        return concerns + (spool?.concerns.map { "spool: \($0)" } ?? [])
            + (recipeSpool?.concerns.map { "spool of recipes: \($0)" } ?? [])
    }

    func lines() -> [String] {
        var lines: [String] = []
        if let status { lines += body(of: status) }
        for (title, spool) in [("Spool        ", spool), ("  of recipes ", recipeSpool)] {
            guard let status = spool?.status else { continue }
            let waiting = "\(TextTable.counted(status.waitingRecords, "record")) wait"
            let level = status.isClosed ? "closed" : "level \(status.level.rawValue)"
            lines.append("\(title)\(waiting), \(level)")
        }
        for (index, concern) in concerns.enumerated() {
            lines.append((index == 0 ? "ATTENTION    " : "             ") + concern)
        }
        return lines
    }

    private func body(of status: MachineStatus) -> [String] {
        var lines = [
            "Machine      \(status.name) (\(machine)), \(status.state)" + (status.failure.map { ": \($0)" } ?? ""), "",
        ]
        let rows = status.terminals.map { terminal in
            [
                "  " + terminal.terminal, terminal.isSilent ? "SILENT" : terminal.status,
                "\(terminal.hostname)/\(terminal.process)", age(of: terminal.startedAt),
                terminal.hasEnded ? "" : "\(StatusReport.seconds(terminal.silence)) ago",
                TextTable.grouped(terminal.processed), TextTable.grouped(terminal.errors),
                terminal.hasEnded ? "" : terminal.controllerFault ?? "up", terminal.reason,
            ]
        }
        if rows.isEmpty {
            lines.append("  no terminal has ever run; `ald run` starts all three")
        } else {
            let head = ["  terminal", "status", "host/process", "age", "heard", "done", "errors", "PLC", ""]
            lines += TextTable.lines([head] + rows)
        }
        lines += ["", "Process      " + words(of: status.process)]
        let ended = status.queue.lastHour.sorted { $0.key < $1.key }.map { "\(TextTable.grouped($0.value)) \($0.key)" }
        lines.append(
            "Commands     \(TextTable.grouped(status.queue.pending)) wait, "
                + "\(TextTable.grouped(status.queue.underWay)) under way"
                + (status.queue.oldest.map { ", the oldest for \(StatusReport.seconds($0))" } ?? "")
                + "; last hour: \(ended.isEmpty ? "none" : ended.joined(separator: ", "))")
        lines.append("Recipes      \(TextTable.counted(status.queue.recipeCommands, "command")) open")
        return lines
    }

    private func words(of process: MachineStatus.ProcessRow?) -> String {
        guard let process else { return "none yet" }
        var text = "\(process.id) \(process.recipe ?? "by hand"), \(process.status)"
        if let completed = process.completed, let total = process.total {
            text += ", \(TextTable.grouped(completed)) of \(TextTable.grouped(total)) steps"
        }
        if let step = process.step { text += ", at \(step)" }
        return text + ", began \(age(of: process.startedAt)) ago"
    }

    private func age(of time: Timestamp) -> String {
        TextTable.span(.microseconds(now.microseconds - time.microseconds))
    }

    // MARK: JSON

    private struct Document: Encodable {
        struct TerminalDocument: Encodable {
            var terminal: String
            var status: String
            var reason: String
            var host: String
            var process: Int32
            var version: String
            var started_at: String
            var silent_seconds: Double
            var is_silent: Bool
            var processed: Int64
            var errors: Int64
            var last_error: String?
            var plc_error: String?
        }

        struct ProcessDocument: Encodable {
            var process: Int64
            var recipe: String?
            var status: String
            var step: String?
            var completed_steps: Int64?
            var total_steps: Int64?
        }

        struct QueueDocument: Encodable {
            var pending: Int64
            var under_way: Int64
            var oldest_seconds: Double?
            var ended_last_hour: [String: Int64]
            var recipe_commands: Int64
        }

        var machine: Int32
        var name: String?
        var state: String?
        var failure: String?
        var terminals: [TerminalDocument]
        var process: ProcessDocument?
        var commands: QueueDocument?
        var spool_records: Int?
        var recipe_spool_records: Int?
        var database_problem: String?
        var concerns: [String]
    }

    func json() throws -> String {
        let document = Document(
            machine: machine, name: status?.name, state: status?.state, failure: status?.failure,
            terminals: (status?.terminals ?? []).map {
                .init(
                    terminal: $0.terminal, status: $0.status, reason: $0.reason, host: $0.hostname, process: $0.process,
                    version: $0.version, started_at: "\($0.startedAt)", silent_seconds: $0.silence.inSeconds,
                    is_silent: $0.isSilent, processed: $0.processed, errors: $0.errors, last_error: $0.lastError,
                    plc_error: $0.controllerFault)
            },
            process: status?.process.map {
                .init(
                    process: $0.id, recipe: $0.recipe, status: $0.status, step: $0.step, completed_steps: $0.completed,
                    total_steps: $0.total)
            },
            commands: status.map {
                .init(
                    pending: $0.queue.pending, under_way: $0.queue.underWay,
                    oldest_seconds: $0.queue.oldest?.inSeconds, ended_last_hour: $0.queue.lastHour,
                    recipe_commands: $0.queue.recipeCommands)
            }, spool_records: spool?.status.waitingRecords,
            recipe_spool_records: recipeSpool?.status.waitingRecords, database_problem: problem, concerns: concerns)
        return try LineOutput.line(json: document)
    }
}
