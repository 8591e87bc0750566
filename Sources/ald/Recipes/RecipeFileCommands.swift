import ALDCore
import ArgumentParser

struct RecipeValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Say everything that is wrong with recipes, with line numbers. Needs no database.",
        discussion: """
            Checks the form, the parameters, their limits, the valves' interlocks and how
            long a run takes. Interlocks come from ALD_INTERLOCKS, a YAML file; without it
            only one valve may be open at a time, for a minute at most.

            EXAMPLES
              ald recipe validate alumina.yaml
              ald recipe validate *.yaml --machine machine.csv --json

            EXIT STATUS
              0   all are sound
              1   the output says what is not, file:line: reason
            """)

    @OptionGroup var options: RecipeOptions
    @Argument(help: "YAML files.")
    var files: [String]

    private struct Verdict: Encodable {
        var file: String
        var recipe: String?
        var steps: Int64?
        var seconds: Double?
        var problems: [String]
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let map = try settings.registerMap()
            let interlocks = try settings.interlocks(on: map)
            let verdicts = files.map { verdict($0, map, interlocks) }
            for verdict in verdicts {
                if options.json {
                    try LineOutput.write(json: verdict)
                } else if let steps = verdict.steps {
                    try LineOutput.write(
                        "\(verdict.file): sound, \(TextTable.counted(steps, "step")), "
                            + "\(DurationText.clock(.seconds(verdict.seconds ?? 0))) without ramps")
                } else {
                    for problem in verdict.problems { try LineOutput.write(problem) }
                }
            }
            if verdicts.contains(where: { !$0.problems.isEmpty }) { throw ExitCode(Failure.Status.mismatch.rawValue) }
        }
    }

    private func verdict(_ path: String, _ map: RegisterMap, _ interlocks: Interlocks) -> Verdict {
        do throws(ConfigurationProblems) {
            let recipe = try checkedRecipe(path, map, interlocks)
            return Verdict(
                file: path, recipe: recipe.name, steps: recipe.extent?.steps,
                seconds: recipe.extent?.duration.inSeconds, problems: [])
        } catch {
            return Verdict(file: path, problems: error.problems)
        }
    }
}

/// A recipe that may run, or everything that is wrong with it, each with its line.
private func checkedRecipe(
    _ path: String, _ map: RegisterMap, _ interlocks: Interlocks
) throws(ConfigurationProblems) -> Recipe {
    let file = try RecipeFile(path: path, map: map)
    let problems = RecipeRules(map, interlocks: interlocks).problems(of: file.recipe).map { problem in
        "\(path)\(problem.step.flatMap { file.lines[$0] }.map { ":\($0)" } ?? ""): \(problem.message)"
    }
    if let problems = ConfigurationProblems(problems) { throw problems }
    return file.recipe
}

struct RecipeImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Store a recipe in the database, as a new version if it has changed.",
        discussion: """
            Safe to repeat: what the database has already is not stored again. A version
            is released at once and never changes; --draft leaves that for later, by
            importing the same file without it.

            EXAMPLES
              ald recipe import alumina.yaml --operator ann --note "shorter purge"
              ald recipe import alumina.yaml --draft

            EXIT STATUS
              0   it is there, now or before
              78  the file is wrong, or the database refuses it
            """)

    @OptionGroup var options: RecipeOptions
    @OptionGroup var author: RecipeAuthor
    @Argument(help: "A YAML file.")
    var file: String

    @Option(help: "What is different in this version.")
    var note = ""

    @Flag(help: "Do not release it: it can then be looked at and not be run.")
    var draft = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let map = try settings.registerMap()
            let recipe = try checkedRecipe(file, map, try settings.interlocks(on: map))
            let name = try author.name
            let (note, releasing) = (note.isEmpty ? author.reason : note, !draft)
            let stored = try await interruptibly {
                try await DatabaseAccess(settings: settings).withConnection { connection, deadline in
                    try await RecipeStore(machine: settings.machineID).store(
                        recipe, author: name, note: note, releasing: releasing, on: connection, deadline: deadline)
                }
            }
            if options.json {
                try LineOutput.write(json: RecipeLine(stored.version, isNew: stored.isNew))
            } else {
                let version = stored.version
                try LineOutput.write(
                    "\(version.name), version \(version.version): \(version.status.rawValue), "
                        + (stored.isNew ? "new" : "it was there already"))
            }
        }
    }
}
