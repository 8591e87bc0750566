import ALDCore
import ArgumentParser
import Foundation

struct LettersEditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Correct a record. What it was before stays; send it again with requeue.",
        discussion: """
            EXAMPLES
              ald dead-letters edit 1/5d0f2a/17/4 --value 45.1 \\
                  --operator ann --reason "decimal point"
              ald dead-letters edit 1/5d0f2a/17/4 --value none --quality bad \\
                  --operator ann --reason "sensor was unplugged"
              ald dead-letters show 1/5d0f2a/17/4 --json     "record" is what a file holds
              ald dead-letters edit 1/5d0f2a/17/4 --from-file record.json \\
                  --operator ann --reason "wrong clock"

            A record whose bytes cannot be read is replaced by a whole one of its kind,
            with --from-file. Here, too, the original stays:
              {"kind":"reading","parameter_id":3,"time":"2026-11-28T10:00:00Z",
               "value":451.5,"quality":"good"}

            EXIT STATUS
              0   revised, or it was so already
              1   no such letter, closed, or somebody else has revised it
            """)

    @OptionGroup var options: DatabaseOptions

    @Argument(help: ArgumentHelp("The letter, as `list` shows it.", valueName: "letter"))
    var given: LetterArgument

    @Option(help: "A number, or none.")
    var value: String?

    @Option(help: ArgumentHelp("When it was read, ISO 8601.", valueName: "time"))
    var time: String?

    @Option(help: "good, uncertain or bad.")
    var quality: String?

    @Option(help: ArgumentHelp("The parameter's number, or component.name.", valueName: "parameter"))
    var parameter: String?

    @Option(help: ArgumentHelp("The whole record, JSON; - for standard input.", valueName: "file"))
    var fromFile: String?

    @OptionGroup var change: LetterChange

    func validate() throws {
        let fields = [value, time, quality, parameter].compactMap(\.self)
        if fields.isEmpty && fromFile == nil {
            throw ValidationError("say what to change: --value, --time, --quality, --parameter or --from-file")
        }
        if !fields.isEmpty && fromFile != nil { throw ValidationError("a record from a file needs no --value, …") }
        if let value, value != "none", Double(value) == nil {
            throw ValidationError("--value is \"\(value)\", must be a number or none")
        }
        if let time, Timestamp(iso8601: time) == nil {
            throw ValidationError("--time is \"\(time)\", must be as 2026-11-28T10:00:00.123456Z")
        }
        if let quality, Quality(name: quality) == nil {
            throw ValidationError("--quality is \"\(quality)\", must be good, uncertain or bad")
        }
    }

    private var name: DeadLetterName { given.name }

    func run() async throws {
        let author = try change.author(otherwise: nil)
        try await reportingFailures {
            let access = DatabaseAccess(settings: try options.settings())
            let document = try fromFile.map(Self.document)
            let report = try await access.withConnection { connection, deadline in
                let queue = DeadLetterQueue(connection)
                var report = LetterOutcome("revised", isRehearsal: change.dryRun)
                guard let letter = try await queue.letter(name, deadline: deadline) else {
                    report.add(name, .absent)
                    return report
                }
                let names = try await queue.parameterNames(machine: name.machine, deadline: deadline)
                let record = try corrected(letter, document, names)
                let outcome = try await queue.revise(
                    name, to: record, from: letter.revision, by: author, isRehearsal: change.dryRun,
                    deadline: deadline)
                report.add(name, outcome)
                return report
            }
            try report.finish(json: change.json)
        }
    }

    private static func document(_ file: String) throws -> RecordDocument {
        let content: Data
        do {
            content =
                try file == "-"
                ? FileHandle.standardInput.readToEnd() ?? Data() : Data(contentsOf: URL(fileURLWithPath: file))
        } catch {
            throw Failure(.configuration, "\(file): cannot be read: \(error.localizedDescription)")
        }
        do { return try RecordDocument(json: content) } catch { throw Failure(.configuration, "\(file): \(error)") }
    }

    private func corrected(
        _ letter: StoredDeadLetter, _ given: RecordDocument?, _ names: [ParameterID: String]
    ) throws -> Records {
        do {
            guard let kind = RecordDocument.Kind(format: letter.letter.format) else {
                throw Failure(
                    .configuration,
                    "letter \(name): its record is of format \(letter.letter.format), which this version does not know; "
                        + "use the version that has written it")
            }
            var document: RecordDocument
            if let given {
                guard given.kind == kind else {
                    throw Failure(
                        .configuration, "letter \(name) is a \(kind.word), the file has a \(given.kind.word)")
                }
                document = given
            } else {
                guard let readable = RecordDocument(letter, names: [:]) else {
                    throw Failure(
                        .configuration,
                        "letter \(name) is a \(kind.word) that cannot be read; replace it as a whole with --from-file")
                }
                document = readable
                guard document.kind == .reading else {
                    throw Failure(
                        .configuration, "letter \(name) is a \(document.kind.word); correct it with --from-file")
                }
                if let value { document.value = value == "none" ? nil : Double(value) }
                if let time { document.time = time }
                if let quality { document.quality = quality }
                if let parameter { document.parameter_id = try Self.number(of: parameter, names) }
            }
            let record = try document.record()
            if let number = document.parameter_id, names[ParameterID(rawValue: number)] == nil {
                throw Failure(.configuration, "machine \(name.machine) has no parameter \(number)")
            }
            return record
        } catch let problem as RecordDocument.Problem {
            throw Failure(.configuration, "the corrected record makes no sense: \(problem)")
        }
    }

    private static func number(of parameter: String, _ names: [ParameterID: String]) throws -> Int32 {
        if let number = Int32(parameter) { return number }
        guard let found = names.first(where: { $0.value == parameter }) else {
            throw Failure(.configuration, "the machine has no parameter \"\(parameter)\"")
        }
        return found.key.rawValue
    }
}

extension RecordDocument.Kind {
    /// For a sentence with "a" before it.
    fileprivate var word: String {
        switch self {
        case .reading: "reading"
        case .gap: "gap"
        case .event: "process event"
        }
    }
}
