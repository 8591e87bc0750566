import ALDCore
import ArgumentParser
import Foundation

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show terminals, machine, process, command queue and spools.",
        discussion: """
            Changes nothing and starts nothing. A terminal is silent when it was not
            heard of for three heartbeats.

            EXAMPLES
              ald status
              ald status --watch              a table that is renewed every second
              ald status --json | jq '.terminals[] | select(.is_silent)'

            EXIT STATUS
              0   all well
              1   somebody should look: a terminal is silent, degraded or has crashed,
                  the machine is in error, a command's end is unknown, the spool needs
                  somebody
              69  the database cannot be reached; the spool is shown all the same
            """)

    @OptionGroup var options: DatabaseOptions

    @Flag(help: "Renew it every second until Ctrl-C.")
    var watch = false

    @Flag(help: "Write one JSON object; with --watch one a second.")
    var json = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            guard watch else {
                let report = await report(settings)
                StandardStream.output.write(try json ? report.json() : report.lines().map { $0 + "\n" }.joined())
                if report.status == nil { throw ExitCode(Failure.Status.unavailable.rawValue) }
                if !report.concerns.isEmpty { throw ExitCode(Failure.Status.mismatch.rawValue) }
                return
            }
            do {
                try await cancelledBySignals { try await self.show(settings) }
            } catch is CancellationError {}
        }
    }

    private func show(_ settings: Settings) async throws {
        let time = SystemTime()
        var table = LiveTable(output: .output)
        let isTerminal = StandardStream.output.isTerminal
        var next = time.now
        while !Task.isCancelled {
            let report = await report(settings)
            if Task.isCancelled { return }
            if json {
                StandardStream.output.write(try report.json())
            } else if isTerminal {
                table.show { width, height in
                    report.lines().prefix(max(height - 1, 1)).map { String($0.prefix(max(width - 1, 20))) }
                }
            } else {
                StandardStream.output.write(report.lines().map { $0 + "\n" }.joined() + "\n")
            }
            while next <= time.now { next = next + .seconds(1) }
            try await time.sleep(until: next)
        }
    }

    private func report(_ settings: Settings) async -> MachineReport {
        var status: MachineStatus?
        var problem: String?
        do {
            status = try await DatabaseAccess(settings: settings).withRunningConnection(within: .seconds(10)) {
                try await MachineStatus($0, machine: settings.machineID, deadline: $1)
            }
        } catch {
            problem = "\(error)"
        }
        return MachineReport(
            machine: settings.machineID, status: status, problem: problem,
            spool: spool(settings, DataDirectory.spool), recipeSpool: spool(settings, DataDirectory.recipeSpool),
            now: SystemTime().wallClock)
    }

    /// `nil` when this directory has none.
    private func spool(_ settings: Settings, _ name: String) -> SpoolReport? {
        let path = URL(fileURLWithPath: settings.dataDirectory).path + name
        guard FileManager.default.fileExists(atPath: path + "/status.json") else { return nil }
        do {
            let status = try SpoolStatus.read(directory: path)
            return SpoolReport(
                directory: path, status: status,
                isOwnerAlive: SpoolStatusCommand.isAlive(status.processIdentifier), now: SystemTime().wallClock)
        } catch {
            return nil
        }
    }
}
