import Foundation

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

    /// Several results in one file.
    public static func write(_ results: [ScenarioResult], toFile path: String) throws {
        try encoder.encode(results).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// Reads what either of the two has written.
    ///
    /// - Throws: a sentence that names the file and what is wrong with it.
    public static func read(_ path: String) throws -> [ScenarioResult] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw NeverHappened(description: "\(path): no such file, or it cannot be read")
        }
        do {
            if let one = try? decoder.decode(ScenarioResult.self, from: data) { return [one] }
            return try decoder.decode([ScenarioResult].self, from: data)
        } catch {
            throw NeverHappened(
                description: "\(path): no result of `ald stress` (\(error)); name files that it has written")
        }
    }
}
