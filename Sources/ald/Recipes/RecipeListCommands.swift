import ALDCore
import ArgumentParser

/// A version of a recipe, for programs.
struct RecipeLine: Encodable {
    var recipe_id: Int64
    var name: String
    var version: Int32
    var status: String
    var steps: Int
    var note: String
    var created_by: String
    var created_at: String
    var released_by: String?
    var is_new: Bool?

    init(_ version: RecipeStore.Version, isNew: Bool? = nil) {
        recipe_id = version.recipe
        name = version.name
        self.version = version.version
        status = version.status.rawValue
        steps = version.steps
        note = version.note
        created_by = version.createdBy
        created_at = "\(version.createdAt)"
        released_by = version.releasedBy
        is_new = isNew
    }
}

struct RecipeListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show the recipes of the machine.",
        discussion: """
            The newest version of each that can be run, or its newest draft; all of them
            with --all.

            EXAMPLES
              ald recipe list
              ald recipe list --all --json | jq -r .name
            """)

    @OptionGroup var options: RecipeOptions

    @Flag(help: "Every version.")
    var all = false

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let found = try await DatabaseAccess(settings: settings).withConnection { connection, deadline in
                try await RecipeStore(machine: settings.machineID).versions(on: connection, deadline: deadline)
            }
            let versions = all ? found : Self.current(found)
            if options.json {
                for version in versions { try LineOutput.write(json: RecipeLine(version)) }
                return
            }
            guard !versions.isEmpty else {
                return try LineOutput.write("no recipes yet; `ald recipe import FILE` stores one")
            }
            let rows = versions.map { version in
                [
                    version.name, "\(version.version)", version.status.rawValue, TextTable.grouped(version.steps),
                    String("\(version.createdAt)".prefix(16)).replacing("T", with: " "),
                    version.releasedBy ?? version.createdBy, version.note,
                ]
            }
            let lines = TextTable.lines([["recipe", "version", "status", "steps", "since (UTC)", "by", "note"]] + rows)
            for line in lines { try LineOutput.write(line) }
        }
    }

    /// Of each name the newest that is released, or else the newest.
    private static func current(_ versions: [RecipeStore.Version]) -> [RecipeStore.Version] {
        var names: [String] = []
        var chosen: [String: RecipeStore.Version] = [:]
        for version in versions {
            guard let earlier = chosen[version.name] else {
                names.append(version.name)
                chosen[version.name] = version
                continue
            }
            if earlier.status != .released, version.status == .released { chosen[version.name] = version }
        }
        return names.compactMap { chosen[$0] }
    }
}

struct RecipeShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print a recipe as a file that can be edited and imported again.",
        discussion: """
            EXAMPLES
              ald recipe show "TMA and water" > alumina.yaml
              ald recipe show "TMA and water" --recipe-version 3

            EXIT STATUS
              0   printed
              1   there is no such recipe or version
            """)

    @OptionGroup var options: RecipeOptions
    @Argument(help: "The recipe's name.")
    var name: String

    @Option(help: ArgumentHelp("This version (the newest that is released).", valueName: "number"))
    var recipeVersion: Int32?

    private struct Answer: Encodable {
        var version: RecipeLine
        var description: String
        var steps: Int64?
        var seconds: Double?
        var yaml: String
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let map = try settings.registerMap()
            let (name, number) = (name, recipeVersion)
            let (version, recipe) = try await DatabaseAccess(settings: settings).withConnection {
                connection, deadline in
                let store = RecipeStore(machine: settings.machineID)
                let version = try await store.version(named: name, number, on: connection, deadline: deadline)
                return (version, try await store.load(version, on: connection, deadline: deadline))
            }
            let yaml = try recipe.yaml(map: map)
            if options.json {
                return try LineOutput.write(
                    json: Answer(
                        version: RecipeLine(version), description: recipe.description, steps: recipe.extent?.steps,
                        seconds: recipe.extent?.duration.inSeconds, yaml: yaml))
            }
            let extent = recipe.extent
            try LineOutput.write(
                "# version \(version.version), \(version.status.rawValue), "
                    + "\(TextTable.counted(extent?.steps ?? 0, "step")), "
                    + "\(DurationText.clock(extent?.duration ?? .zero)) without ramps")
            try LineOutput.write(text: yaml)
        }
    }
}
