/// Who may name whom. The arrow points at what is named:
///
///     ald → ALDTestKit → ALDCore → Modbus
///     Foundations ← Resilience ← {PLC ← Simulation, Postgres ← Writing} ← Recipes ← Services
///
/// `Observability` is named by `Services` and the executable alone. The folders of ALDCore are one Swift module, which
/// the compiler does not keep apart; so this reads the code and looks for names that a folder may not know.
enum TidyDirection {
    /// What each folder of ALDCore may name besides itself.
    static let folders: [String: Set<String>] = [
        "Foundations": [],
        "Resilience": ["Foundations"],
        "PLC": ["Foundations", "Resilience"],
        "Simulation": ["Foundations", "Resilience", "PLC"],
        "Postgres": ["Foundations", "Resilience"],
        "Writing": ["Foundations", "Resilience", "Postgres"],
        "Recipes": ["Foundations", "Resilience", "PLC", "Simulation", "Postgres", "Writing"],
        "Observability": ["Foundations", "Resilience", "PLC", "Simulation", "Postgres", "Writing", "Recipes"],
        "Services": [
            "Foundations", "Resilience", "PLC", "Simulation", "Postgres", "Writing", "Recipes", "Observability",
        ],
    ]

    /// C behind one wall: the only folder that imports a system library, and what others use instead.
    private static let doors = [
        "CLibPQ": (folder: "Sources/ALDCore/Postgres/LibPQ", instead: "connection type"),
        "CZlib": (folder: "Sources/ALDCore/Observability/Logs", instead: "log file"),
    ]

    /// What each module of ours may import of ours. System libraries have a rule of their own.
    static let modules: [String: Set<String>] = [
        "Modbus": [],
        "ALDCore": ["Modbus"],
        "ALDTestKit": ["Modbus", "ALDCore"],
        "ald": ["Modbus", "ALDCore", "ALDTestKit"],
    ]

    /// The folders of ALDCore to the right of Modbus.
    static let mayImportModbus: Set = ["PLC", "Simulation", "Recipes", "Services"]

    static func check(_ files: [TidyFile]) -> [TidyProblem] {
        files.flatMap(importProblems) + unknownFolders(files) + doubleNames(files) + forbiddenNames(files)
    }

    // MARK: Modules

    private static func importProblems(_ file: TidyFile) -> [TidyProblem] {
        let parts = file.path.split(separator: "/").map(String.init)
        return file.imports.compactMap { module, line in
            let message: String
            if let door = doors[module] {
                guard !file.path.hasPrefix(door.folder + "/") else { return nil }
                message = "only \(door.folder) imports \(module); use the \(door.instead) declared there"
            } else if parts.count > 2, parts[0] == "Sources", let allowed = modules[parts[1]] {
                if module == "XCTest" || module == "Testing" {
                    message = "products import no test framework; throw an error that says what was expected instead"
                } else if modules[module] != nil, !allowed.contains(module) {
                    message =
                        "\(parts[1]) may not import \(module) (ald → ALDTestKit → ALDCore → Modbus); move what you"
                        + " need to the left, or hand it in as a value or a protocol of \(parts[1])"
                } else if module == "Modbus", parts[1] == "ALDCore", !mayImportModbus.contains(parts[2]) {
                    message =
                        "ALDCore/\(parts[2]) knows nothing of Modbus; speak to the machine through the PLC protocol"
                } else {
                    return nil
                }
            } else {
                return nil
            }
            return TidyProblem(path: file.path, line: line, message: message)
        }
    }

    // MARK: Folders of ALDCore

    /// The folder of ALDCore that a file lies in: "" for a file beside the folders, nil outside of ALDCore.
    static func folder(of file: TidyFile) -> String? {
        let parts = file.path.split(separator: "/")
        guard parts.count > 2, parts[0] == "Sources", parts[1] == "ALDCore" else { return nil }
        return parts.count > 3 ? String(parts[2]) : ""
    }

    private static func unknownFolders(_ files: [TidyFile]) -> [TidyProblem] {
        files.compactMap { file in
            guard let folder = folder(of: file), folders[folder] == nil else { return nil }
            let place = folder.isEmpty ? "a file beside the folders" : "an unknown folder '\(folder)'"
            return TidyProblem(
                path: file.path, line: 1,
                message: "\(place) in ALDCore; put it into one of \(folders.keys.sorted().joined(separator: ", ")),"
                    + " or give the new folder its place in TidyDirection.folders and in CONTRIBUTING.md")
        }
    }

    private struct Name {
        let folder: String
        let file: TidyFile
        let line: Int
    }

    private static func sharedNames(_ files: [TidyFile]) -> [String: [Name]] {
        var names: [String: [Name]] = [:]
        for file in files {
            guard let folder = folder(of: file) else { continue }
            for declaration in file.declarations where declaration.isTopLevel && !declaration.isFileLocal {
                names[declaration.name, default: []].append(Name(folder: folder, file: file, line: declaration.line))
            }
        }
        return names
    }

    private static func doubleNames(_ files: [TidyFile]) -> [TidyProblem] {
        sharedNames(files).flatMap { name, places -> [TidyProblem] in
            guard Set(places.map(\.folder)).count > 1 else { return [] }
            return places.map { place in
                let others = places.filter { $0.folder != place.folder }.map { "\($0.file.path):\($0.line)" }
                return TidyProblem(
                    path: place.file.path, line: place.line,
                    message: "`\(name)` is declared in another folder too (\(others.joined(separator: ", ")));"
                        + " one word has one meaning: rename one of them")
            }
        }
    }

    private static func forbiddenNames(_ files: [TidyFile]) -> [TidyProblem] {
        let shared = sharedNames(files)
        // A nested type hides a type of the same name elsewhere wherever its own folder may be named.
        var declaredAnywhere: [String: Set<String>] = [:]
        for file in files {
            guard let folder = folder(of: file) else { continue }
            declaredAnywhere[folder, default: []].formUnion(file.declarations.map(\.name))
        }
        return files.flatMap { file -> [TidyProblem] in
            guard let own = folder(of: file), let allowed = folders[own]?.union([own]) else { return [] }
            let known = allowed.reduce(into: file.localNames) { $0.formUnion(declaredAnywhere[$1] ?? []) }
            let foreign = shared.filter { name, places in
                !known.contains(name) && !places.contains { allowed.contains($0.folder) }
            }
            var seen: Set<String> = []
            return file.tokens.indices.compactMap { index in
                let word = file.tokens[index]
                guard word.kind == .word, let place = foreign[word.text]?.first, !isMember(index, of: file),
                    seen.insert("\(word.line) \(word.text)").inserted
                else { return nil }
                return TidyProblem(path: file.path, line: word.line, message: advice(word.text, own, place.folder))
            }
        }
    }

    /// `a.Name` names a member of `a`, unless `a` is the module itself.
    private static func isMember(_ index: Int, of file: TidyFile) -> Bool {
        file.text(index - 1) == "." && file.text(index - 2) != "ALDCore"
    }

    private static func advice(_ name: String, _ own: String, _ other: String) -> String {
        if other == "Observability" {
            return "\(own) names `\(name)` of Observability, which only Services and ald may; report through a small"
                + " observer protocol declared in \(own), or through swift-metrics"
        }
        return "\(own) names `\(name)` of \(other), which stands to its right; take what you need as a value or a small"
            + " protocol declared in \(own), or move this code to \(other)"
    }
}
