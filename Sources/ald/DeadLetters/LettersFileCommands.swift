import ALDCore
import ArgumentParser
import Foundation

struct LettersExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write letters to a file: one line of JSON each, with everything and a checksum.",
        discussion: """
            EXAMPLES
              ald dead-letters export --output letters.jsonl
              ald dead-letters export --state all --machine 1 > letters.jsonl

            EXIT STATUS
              0   written     1  nothing matches, nothing was written
            """)

    @OptionGroup var options: DatabaseOptions
    @OptionGroup var filter: LetterFilter

    @Option(help: ArgumentHelp("In this state.", valueName: "state"))
    var state = LettersListCommand.State.all

    @Option(help: ArgumentHelp("Otherwise standard output. Must not exist yet.", valueName: "file"))
    var output: String?

    @Flag(help: "Only say how many there are.")
    var dryRun = false

    func run() async throws {
        try await reportingFailures {
            let access = DatabaseAccess(settings: try options.settings())
            let states =
                StoredDeadLetter.State(rawValue: state.rawValue).map { [$0] } ?? StoredDeadLetter.State.allCases
            let chosen = filter.filter(Set(states))
            let count = try await access.withConnection { connection, deadline in
                let queue = DeadLetterQueue(connection)
                let expected = try await queue.count(chosen, deadline: deadline)
                if dryRun || expected == 0 { return expected }
                let file = try output.map(Self.create)
                let time = SystemTime()
                let written = try await queue.export(chosen, deadline: time.now + .seconds(3600)) { lines in
                    let text = lines.map { $0 + "\n" }.joined()
                    if let file {
                        try file.write(contentsOf: Data(text.utf8))
                    } else {
                        try LineOutput.write(text: text)
                    }
                }
                try file?.synchronize()
                try file?.close()
                return written
            }
            let verb = dryRun ? "would be written" : "written"
            if count == 0 { throw Failure(.mismatch, "no letter matches") }
            StandardStream.error.write("\(TextTable.counted(count, "letter")) \(verb)\n")
        }
    }

    private static func create(_ path: String) throws -> FileHandle {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Failure(.configuration, "\(path): cannot be created: \(String(cString: strerror(errno)))")
        }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }
}

struct LettersImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Bring exported letters into this database. Safe to repeat.",
        discussion: """
            Every line is checked before the first is imported; a damaged one is told
            by its number, and then nothing is imported. A letter that is here already
            stays as it is, so does one that was imported before the command was cut
            off: repeat it. The history says who has brought a letter here; whom else
            the file names, nobody has checked. Whether a record has landed is for the
            ledger of this database to say: letters of records that it does not have
            are open.

            EXAMPLE
              ald dead-letters import letters.jsonl --operator ann --reason "from line 2"

            EXIT STATUS
              0   all are here     1  a name is taken by another record
              78  a line is damaged, or the file cannot be read
            """)

    @OptionGroup var options: DatabaseOptions

    @Argument(help: ArgumentHelp("The file; - for standard input.", valueName: "file"))
    var file: String

    @OptionGroup var change: LetterChange

    func run() async throws {
        let author = try change.author(otherwise: "imported from \(URL(fileURLWithPath: file).lastPathComponent)")
        try await reportingFailures {
            let items = try Self.items(file)
            let access = DatabaseAccess(settings: try options.settings())
            let report = try await access.withConnection { connection, _ in
                let queue = DeadLetterQueue(connection)
                var report = LetterOutcome("imported", isRehearsal: change.dryRun)
                for item in items {
                    do {
                        let outcome = try await queue.import(
                            item, by: author, isRehearsal: change.dryRun,
                            deadline: SystemTime().now + DatabaseAccess.timeLimit)
                        report.add(item.name, outcome)
                    } catch {
                        throw try report.broken(off: error, at: item.name, json: change.json)
                    }
                }
                return report
            }
            try report.finish(json: change.json)
        }
    }

    private static func items(_ file: String) throws -> [DeadLetterArchive.Item] {
        let content: Data
        do {
            content =
                try file == "-"
                ? FileHandle.standardInput.readToEnd() ?? Data() : Data(contentsOf: URL(fileURLWithPath: file))
        } catch {
            throw Failure(.configuration, "\(file): cannot be read: \(error.localizedDescription)")
        }
        var items: [DeadLetterArchive.Item] = []
        var problems: [String] = []
        for (index, line) in content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        where !line.isEmpty {
            do throws(DeadLetterArchive.Damaged) {
                items.append(try DeadLetterArchive.read(String(decoding: line, as: UTF8.self)))
            } catch {
                problems.append("line \(index + 1): \(error)")
            }
        }
        guard problems.isEmpty else {
            let shown = problems.prefix(20).joined(separator: "\n  ")
            let more = problems.count > 20 ? "\n  and \(problems.count - 20) more" : ""
            throw Failure(.configuration, "\(file) is damaged; nothing was imported\n  \(shown)\(more)")
        }
        return items
    }
}
