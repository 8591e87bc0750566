import ALDCore
import ArgumentParser
import Foundation

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Prove that nothing recorded is missing and nothing is doubled.",
        discussion: """
            Counts, instant by instant, the readings in the database and compares them
            with what its ledger says of the batches that brought them; counts gaps,
            process events and dead letters; compares what the recorder's spool still
            remembers with the ledger, contents by their digest. Prints where all
            records are:

              accepted = landed + dead-lettered + discarded by name + spooled

            Rows carry no digest: a value that somebody has changed in the database
            shows only where the spool, not in use, still has the reading. It keeps
            what the database has confirmed for a day.

            Changes nothing. A recorder may go on meanwhile; of a spool in use only the
            number of waiting records is known. One that is not in use is locked while
            it is read.

            EXAMPLES
              ald verify                                  the last 24 hours
              ald verify --from 2026-11-01 --to 2026-11-08 --machine 1
              ald verify --from 6d --to 12h               from six days to half a day ago
              ald verify --from 2h --database-only        no spool on this computer
              ald verify --spool .ald/recipe-spool        what recipes have recorded

            EXIT STATUS
              0   sound
              1   unsound: the table says what and where
              2   nothing wrong was found, but not everything could be proved
            """)

    @OptionGroup var options: DatabaseOptions

    @Option(
        help: ArgumentHelp(
            "Records of then or later: 2026-11-28T10:00Z, or how long ago: 90m, 2h, 6d (24h).", valueName: "time"))
    var from: Moment?

    @Option(help: ArgumentHelp("Records of before then; as --from (now).", valueName: "time"))
    var to: Moment?

    @Option(help: "Only this machine.")
    var machine: Int32?

    @Option(
        help: ArgumentHelp(
            "The recorder's spool; otherwise Terminal 1's in the data directory.", valueName: "directory"))
    var spool: String?

    @Flag(help: "Leave the spool out of it.")
    var databaseOnly = false

    @Flag(help: "Write one JSON object, at the end.")
    var json = false

    func validate() throws {
        if databaseOnly && spool != nil { throw ValidationError("give either --spool or --database-only") }
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let now = SystemTime().wallClock
            let range = (from?.time ?? now.advanced(by: .seconds(-86_400)), to?.time ?? now)
            guard range.0 < range.1 else {
                throw Failure(.configuration, "--from is \(range.0) and not before --to, \(range.1)")
            }
            let temporary = FileManager.default.temporaryDirectory.path + "/ald-verify-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: false)
            defer {
                // A directory that stays behind in the system's temporary place is no reason to fail.
                do { try FileManager.default.removeItem(atPath: temporary) } catch {}
            }
            let spooled = try inspectSpool(settings, temporary)
            let results = try await DatabaseAccess(settings: settings).withConnection { connection, deadline in
                try await verify(Verifier(connection), range, spooled, deadline: deadline)
            }
            if json { try LineOutput.write(text: try VerificationReport.json(results)) }
            let verdicts = results.map(\.verification.verdict)
            if verdicts.contains(.unsound) { throw ExitCode(Failure.Status.mismatch.rawValue) }
            if verdicts.contains(.unproven) { throw ExitCode(2) }
        }
    }

    private func verify(
        _ verifier: Verifier, _ range: (Timestamp, Timestamp), _ spooled: SpoolKnowledge, deadline: MonotonicInstant
    ) async throws -> [VerificationReport] {
        let visible = try await verifier.machines(deadline: deadline)
        let chosen = visible.filter { machine == nil || $0.machine == machine }
        guard !chosen.isEmpty else {
            let what = machine.map { "machine \($0)" } ?? "any machine"
            throw Failure(
                .configuration,
                "this user does not see \(what) in this database; let its administrator add it:\n"
                    + "  INSERT INTO ald.machine_members (member, machine_id) VALUES ('LOGIN', \(machine ?? 1))")
        }
        var reports: [VerificationReport] = []
        for (number, name) in chosen {
            if !json { try LineOutput.write(text: VerificationReport.heading(number, name, range)) }
            var verification = try await verifier.verify(
                machine: number, from: range.0, to: range.1, time: SystemTime(), patience: DatabaseAccess.timeLimit
            ) { stretch in
                // What cannot be shown is no reason to stop looking; the report at the end fails by itself.
                if !json { StandardStream.output.write(VerificationReport.line(stretch)) }
            }
            switch spooled {
            case .leftOut: break
            case .missing(let directory):
                verification.doubts.append(
                    "there is no spool in \(directory); name it with --spool, or say --database-only")
            case .found(let inspection):
                try await verifier.compare(
                    inspection, with: &verification, deadline: SystemTime().now + DatabaseAccess.noLimit)
            }
            let report = VerificationReport(name: name, verification: verification, spool: spooled)
            if !json {
                StandardStream.output.flush()
                try LineOutput.write(text: report.text())
            }
            reports.append(report)
        }
        return reports
    }

    private func inspectSpool(_ settings: Settings, _ temporary: String) throws -> SpoolKnowledge {
        if databaseOnly { return .leftOut }
        let directory = URL(fileURLWithPath: spool ?? settings.dataDirectory + "/spool").path
        return try SpoolInspection.inspect(directory: directory, temporary: temporary).map { .found($0) }
            ?? .missing(directory)
    }
}

/// What is known of the recorder's spool.
enum SpoolKnowledge {
    case leftOut
    case missing(String)
    case found(SpoolInspection)
}
