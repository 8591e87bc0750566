import ALDCore
import Configuration
import Foundation

/// Finds settings in options, environment and file, in this order.
struct SettingsReader: Sendable {
    /// Environment variables that look like settings and are none: probably misspelt.
    let warnings: [String]
    private struct Source: Sendable {
        var provider: any ConfigProvider
        /// What a setting is called there, for messages.
        var name: @Sendable (SettingKey) -> String
    }

    private let sources: [Source]

    /// - Parameters:
    ///   - options: what was given on the command line.
    ///   - file: from `--config`; without it `ALD_CONFIG` counts.
    /// - Throws: ``Failure`` when the file cannot be read or names a setting that does not exist.
    init(
        options: [SettingKey: String], file: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws {
        warnings = Self.unknownVariables(environment)
        let given = options.map { (AbsoluteConfigKey([$0.rawValue]), ConfigValue(.string($1), isSecret: false)) }
        let options = Source(
            provider: InMemoryProvider(name: "options", values: Dictionary(uniqueKeysWithValues: given)),
            name: { "--" + Self.words($0).joined(separator: "-") })
        let variables = Source(
            provider: EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "ald"),
            name: { Self.variable($0) })
        sources = [options, variables] + (try Self.fileSource(file ?? environment["ALD_CONFIG"]))
    }

    /// The settings, all of them checked.
    func settings() throws -> Settings {
        var failures: [String] = []
        var given: [SettingKey: GivenSetting] = [:]
        for key in SettingKey.allCases {
            do throws(Failure) { given[key] = try value(of: key) } catch { failures.append(error.message) }
        }
        if !failures.isEmpty { throw Failure(.configuration, failures.joined(separator: "\n")) }
        return try Settings { given[$0] }
    }

    private func value(of key: SettingKey) throws(Failure) -> GivenSetting? {
        for source in sources {
            let name = source.name(key)
            let absolute = AbsoluteConfigKey([key.rawValue])
            do {
                let found = try source.provider.value(forKey: absolute, type: .string).value?.content
                if case .string(let text) = found { return GivenSetting(text: text, source: name) }
            } catch {
                throw Failure(.configuration, "\(name): \(error)")
            }
        }
        return nil
    }

    // MARK: File

    /// A value as a settings file may hold it.
    private struct Scalar: Decodable {
        var text: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self.text = text
            } else if let number = try? container.decode(UInt64.self) {
                text = String(number)
            } else if let number = try? container.decode(Double.self) {
                text = String(number)
            } else {
                throw DecodingError.typeMismatch(
                    String.self, .init(codingPath: decoder.codingPath, debugDescription: "expected text or a number"))
            }
        }
    }

    /// A misspelt setting would otherwise have no effect and nobody would know, so unknown ones are refused.
    private static func fileSource(_ path: String?) throws(Failure) -> [Source] {
        guard let path, !path.isEmpty else { return [] }
        let settings: [String: Scalar]
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            settings = try JSONDecoder().decode([String: Scalar].self, from: data)
        } catch let error as DecodingError {
            throw Failure(.configuration, "\(path): \(reason(error))")
        } catch {
            throw Failure(.configuration, "\(path): cannot be read: \(reason(of: path))")
        }
        let unknown = settings.keys.filter { SettingKey(rawValue: $0) == nil }.sorted()
        guard unknown.isEmpty else {
            let known = SettingKey.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure(
                .configuration, "\(path): unknown setting \(unknown.joined(separator: ", ")); known are \(known)")
        }
        let values = settings.map { (AbsoluteConfigKey([$0]), ConfigValue(.string($1.text), isSecret: true)) }
        return [
            Source(
                provider: InMemoryProvider(name: path, values: Dictionary(uniqueKeysWithValues: values)),
                name: { "\(path): \($0.rawValue)" })
        ]
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .typeMismatch(_, let context) where context.codingPath.isEmpty:
            "expected one JSON object, {\"setting\": value, …}"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context):
            "\(context.codingPath.map(\.stringValue).joined(separator: ".")): expected text or a number"
        case .dataCorrupted(let context):
            "is not JSON: \(context.underlyingError.map { "\($0.localizedDescription)" } ?? context.debugDescription)"
        @unknown default:
            "is not a settings file"
        }
    }

    /// What the system says about opening a file.
    private static func reason(of path: String) -> String {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
            return "it is a directory"
        }
        return access(path, R_OK) == 0 ? "an input error" : String(cString: strerror(errno))
    }

    // MARK: Names

    /// Variables of the test suites and of the build; no settings, and no typing errors either.
    private static let otherVariables: Set<String> = [
        "ALD_CONFIG", "ALD_SLOW", "ALD_VERY_SLOW", "ALD_ROOT", "ALD_REAL_PLC", "ALD_SEED", "ALD_SEEDS", "ALD_SCALE",
        "ALD_WARNINGS_AS_ERRORS", "ALD_GATE_ID", "ALD_GATE_MINUTES",
    ]

    private static func unknownVariables(_ environment: [String: String]) -> [String] {
        let known = otherVariables.union(SettingKey.allCases.map(variable))
        return environment.keys.filter { $0.hasPrefix("ALD_") && !known.contains($0) }.sorted().map {
            "environment variable \($0) is not known and has no effect"
        }
    }

    static func variable(_ key: SettingKey) -> String {
        "ALD_" + words(key).joined(separator: "_").uppercased()
    }

    /// `plcUnit` becomes `["plc", "unit"]`.
    private static func words(_ key: SettingKey) -> [String] {
        var words = [""]
        for character in key.rawValue {
            if character.isUppercase { words.append("") }
            words[words.count - 1].append(contentsOf: character.lowercased())
        }
        return words
    }
}
