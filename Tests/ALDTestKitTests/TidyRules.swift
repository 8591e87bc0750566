/// Rules about the words of a file, its size and its place. Who may name whom is in ``TidyDirection``.
enum TidyRules {
    static let maximumLines = 600

    static func check(_ repository: TidyRepository) -> [TidyProblem] {
        let perFile = repository.swift.flatMap { file in
            size(file) + names(file) + pureFiles(file) + sources(file) + tests(file)
        }
        let paths =
            repository.swift.map { ($0.path, $0.lines) }
            + repository.texts.map { text in
                (text.path, text.text.split(separator: "\n", omittingEmptySubsequences: false))
            }
        return perFile + unneededExceptions(repository.swift) + topLevel(repository.topLevel)
            + paths.flatMap { machinePaths(path: $0.0, lines: $0.1) }
    }

    private static func problem(_ file: TidyFile, _ line: Int, _ message: String) -> TidyProblem {
        TidyProblem(path: file.path, line: line, message: message)
    }

    // MARK: Size and names

    static func size(_ file: TidyFile) -> [TidyProblem] {
        guard file.lineCount > maximumLines else { return [] }
        return [
            problem(
                file, maximumLines + 1,
                "\(file.lineCount) lines, at most \(maximumLines) are readable in one sitting; move the second concern"
                    + " to Type+Concern.swift")
        ]
    }

    static func names(_ file: TidyFile) -> [TidyProblem] {
        let vague: Set = ["util", "utils", "utilities", "helper", "helpers", "new", "internal"]
        let folders = file.path.split(separator: "/").dropLast().filter { vague.contains($0.lowercased()) }
        let endings = ["Manager", "Helper", "Helpers", "Util", "Utils"]
        let types = file.declarations.filter { type in endings.contains { type.name.hasSuffix($0) } }
        return folders.map { folder in
            problem(file, 1, "the folder '\(folder)' says nothing; name the concept that its files share")
        }
            + types.map { type in
                problem(file, type.line, "`\(type.name)` says nothing; name what it is, such as a pool, plan or ledger")
            }
    }

    // MARK: Sources

    static func sources(_ file: TidyFile) -> [TidyProblem] {
        guard file.path.hasPrefix("Sources/") else { return [] }
        let words = file.tokens.indices.compactMap { index in
            forbiddenInSources(index, of: file).map { problem(file, file.tokens[index].line, $0) }
        }
        let remarks = file.comments.compactMap { line, text in
            ["TODO", "FIXME"].first { text.contains($0) }.map { mark in
                problem(
                    file, line,
                    "\(mark) is a promise nobody keeps; do it now, or open an issue and say what holds today")
            }
        }
        return words + remarks
    }

    private static func forbiddenInSources(_ index: Int, of file: TidyFile) -> String? {
        let next = file.text(index + 1)
        switch file.tokens[index].text {
        case "try" where next == "!":
            return "`try!` ends the process on an error; throw it, or handle it where it occurs"
        case "fatalError" where next == "(", "preconditionFailure" where next == "(":
            return "`\(file.tokens[index].text)` ends the process; make the state impossible, or throw"
        case "nonisolated" where next == "(" && file.text(index + 2) == "unsafe":
            return "`nonisolated(unsafe)` hides a race; use a Mutex, an actor or a Sendable value"
        case "unchecked" where file.text(index - 1) == "@" && !isJustified(line: file.tokens[index].line, of: file):
            return "`@unchecked Sendable` without its reason; say just above it why it is safe (\"because …\")"
        case "Task" where next == "." && file.text(index + 2) == "detached":
            return "`Task.detached` belongs to nobody; make it a child of the service's run(), in a task group"
        case "Task" where (next == "{" || next == "(") && !isOwned(index, of: file):
            return "a task that nobody awaits loses its error; make it a child of the service's run(), in a task group"
        default:
            return nil
        }
    }

    /// Whether a task is kept, returned, passed on or awaited where it is created. `_ = Task { }` is not.
    private static func isOwned(_ index: Int, of file: TidyFile) -> Bool {
        switch file.text(index - 1) {
        case "=": file.text(index - 2) != "_"
        case "return", "await", "(", ",", ":", ".", "func": true
        default: false
        }
    }

    /// Looks for "because" or "since" in the comments on the line and directly above it, past the declaration's
    /// own first lines and attributes.
    private static func isJustified(line: Int, of file: TidyFile) -> Bool {
        func gives(_ line: Int) -> Bool {
            let words = (file.comments[line] ?? "").lowercased().split { !$0.isLetter }
            return words.contains("because") || words.contains("since")
        }
        if gives(line) { return true }
        var above = line - 1
        while above >= 1 {
            let text = file.lines[above - 1].drop { $0 == " " || $0 == "\t" }
            if text.isEmpty { return false }
            if file.comments[above] == nil, text.contains("{") || text.contains("}") { return false }
            if gives(above) { return true }
            above -= 1
        }
        return false
    }

    // MARK: Tests and benchmarks

    /// Tests of clocks, whose subject is the sleeping itself, and a load that has to keep a rate.
    private static let clockTests: Set = [
        "Tests/ALDCoreTests/Foundations/TimeTests.swift", "Tests/ALDTestKitTests/ManualTimeTests.swift",
        "Tests/ALDTestKitTests/WorldTests.swift", "Tests/ALDTestKitTests/InterleavingSearchTests.swift",
        "Benchmarks/Peers/Sources/postgres-peers/WriterLoad.swift",
    ]

    static func tests(_ file: TidyFile) -> [TidyProblem] {
        guard file.path.hasPrefix("Tests/") || file.path.hasPrefix("Benchmarks/") else { return [] }
        return file.tokens.indices.compactMap { index in
            let word = file.tokens[index]
            guard ["sleep", "usleep", "nanosleep"].contains(word.text), !clockTests.contains(file.path),
                file.text(index - 1) != "func",
                file.text(index + 1) == "("
            else { return nil }
            return problem(
                file, word.line,
                "a test that sleeps is slow or flaky, mostly both; wait for the state with ALDTestKit's waiting"
                    + " functions, then move the clock")
        }
    }

    // MARK: Everything

    /// Written in parts, so that this file passes its own rule.
    private static let machineFolders = ["home", "root", "work", "opt/swift", "Users"].map { "/\($0)/" }

    /// Where Homebrew installs on every Linux machine that has it.
    private static let homebrew = "/\("home")/linuxbrew/"

    static func machinePaths(path: String, lines: [Substring]) -> [TidyProblem] {
        lines.enumerated().compactMap { index, line in
            guard line.contains("/"), let found = machineFolders.first(where: { begins($0, in: line) }) else {
                return nil
            }
            return TidyProblem(
                path: path, line: index + 1,
                message: "a path of one machine (\(found)…); use a path relative to the repository, a temporary folder"
                    + " or the environment")
        }
    }

    /// Whether an absolute path begins with `folder` somewhere in the line: not in the middle of a longer one.
    private static func begins(_ folder: String, in line: Substring) -> Bool {
        var rest = line[...]
        while let first = rest.firstIndex(of: "/") {
            let before = first == line.startIndex ? " " : line[line.index(before: first)]
            let inside = before.isLetter || before.isNumber || "_.~$})]-/*>".contains(before)
            if !inside, line[first...].hasPrefix(folder), !line[first...].hasPrefix(homebrew) { return true }
            rest = line[line.index(after: first)...]
        }
        return false
    }

    static func topLevel(_ names: [String]) -> [TidyProblem] {
        let known: Set = [
            "Package.swift", "Sources", "Tests", "Fixtures", "Benchmarks", "README.md", "CONTRIBUTING.md", "LICENSE",
            "Makefile", ".ci", ".github", ".gitignore", ".swift-format",
        ]
        // What editors and file browsers drop beside it is nobody's decision.
        let dropped: Set = [".vscode", ".idea", ".DS_Store"]
        return names.filter { name in
            !known.union(dropped).contains(name) && !TidyRepository.generated(name) && !name.hasSuffix(".swp")
        }.map { name in
            TidyProblem(
                path: name, line: 1,
                message: "is new at the top level; put it into Sources, Tests, Benchmarks or Fixtures, or name it in"
                    + " TidyRules.topLevel and in CONTRIBUTING.md")
        }
    }
}
