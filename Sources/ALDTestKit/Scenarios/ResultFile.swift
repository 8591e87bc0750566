public import Foundation

/// Results on disk, as JSON: one file per scenario.
public enum ResultFile {
    /// `ALD_RESULTS`, or a folder beside the build.
    public static var directory: String {
        ProcessInfo.processInfo.environment["ALD_RESULTS"] ?? Repository.root + "/.build/results"
    }

    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        return encoder
    }

    private static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        return decoder
    }

    /// Replaces the scenario's earlier result in that folder.
    public static func write(_ result: ScenarioResult, to directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try encoder.encode(result).write(
            to: URL(fileURLWithPath: "\(directory)/\(result.id).json"), options: .atomic)
    }

    /// Several results, as one file holds them.
    public static func data(_ results: [ScenarioResult]) throws -> Data { try encoder.encode(results) }

    /// Reads one result or several, as either of the two has made them.
    ///
    /// - Throws: a sentence that names the file, what is wrong with it and where, and what to do.
    public static func read(_ path: String) throws -> [ScenarioResult] {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw unreadable(path, "it does not exist")
        }
        if isDirectory.boolValue { throw unreadable(path, "it is a folder") }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw unreadable(path, "it cannot be read, look at its permissions")
        }
        // Who wrote a list meant several: the complaint then is about its element.
        let isList = data.first { !Self.blanks.contains($0) } == UInt8(ascii: "[")
        let results: [ScenarioResult]
        do {
            results =
                isList
                ? try decoder.decode([ScenarioResult].self, from: data)
                : [try decoder.decode(ScenarioResult.self, from: data)]
        } catch let error as DecodingError {
            throw unreadable(path, "no result of a scenario: \(sentence(error))")
        }
        if results.isEmpty { throw unreadable(path, "it has no results") }
        return results
    }

    /// The newest result of each scenario, in the order in which they were given.
    ///
    /// - Returns: these, and the numbers of scenarios of which older ones were left out, once for each.
    static func newest(_ results: [ScenarioResult]) -> (kept: [ScenarioResult], leftOut: [String]) {
        var (kept, leftOut): ([ScenarioResult], [String]) = ([], [])
        for result in results {
            guard let place = kept.firstIndex(where: { $0.id == result.id }) else {
                kept.append(result)
                continue
            }
            leftOut.append(result.id)
            if result.startedAt >= kept[place].startedAt { kept[place] = result }
        }
        return (kept, leftOut)
    }

    private static let blanks: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]

    private static func unreadable(_ path: String, _ what: String) -> NeverHappened {
        NeverHappened(description: "\(path): \(what); name files that `ald stress --output` has written")
    }

    private static func sentence(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context): "“\(key.stringValue)” is missing\(place(context))"
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            "no \(type)\(place(context))"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty ? "it is no JSON, or breaks off" : "a value of no meaning\(place(context))"
        @unknown default: "it cannot be read"
        }
    }

    private static func place(_ context: DecodingError.Context) -> String {
        guard !context.codingPath.isEmpty else { return "" }
        let path = context.codingPath.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
        return " at \(path.hasPrefix(".") ? String(path.dropFirst()) : path)"
    }
}
