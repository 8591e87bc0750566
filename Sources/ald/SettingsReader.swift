import ALDCore
import Configuration
import Foundation
import SystemPackage

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
    ) async throws {
        warnings = Self.unknownVariables(environment)
        let given = options.map { (AbsoluteConfigKey([$0.rawValue]), ConfigValue(.string($1), isSecret: false)) }
        let options = Source(
            provider: InMemoryProvider(name: "options", values: Dictionary(uniqueKeysWithValues: given)),
            name: { "--" + Self.words($0).joined(separator: "-") })
        let variables = Source(
            provider: EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "ald"),
            name: { Self.variable($0) })
        sources = [options, variables] + (try await Self.fileSource(file ?? environment["ALD_CONFIG"]))
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
            guard let text = try Self.text(of: key, from: source.provider, name: name) else { continue }
            return GivenSetting(text: text, source: name)
        }
        return nil
    }

    /// A file may say `5020` or `"5020"`; both are text here, and the setting decides what it accepts.
    private static func text(
        of key: SettingKey, from provider: any ConfigProvider, name: String
    ) throws(Failure) -> String? {
        let absolute = AbsoluteConfigKey([key.rawValue])
        let types: [ConfigType] = [.string, .int, .double]
        for type in types {
            do {
                switch try provider.value(forKey: absolute, type: type).value?.content {
                case nil: return nil
                case .string(let text): return text
                case .int(let number): return String(number)
                case .double(let number): return String(number)
                default: break
                }
            } catch {
                // The provider has a value of another type; the next type may fit, and if none does we say so below.
            }
        }
        throw Failure(.configuration, "\(name): expected text or a number")
    }

    // MARK: File

    private static func fileSource(_ path: String?) async throws -> [Source] {
        guard let path else { return [] }
        try checkKeys(of: path)
        let provider = try await FileProvider<JSONSnapshot>(filePath: FilePath(path))
        return [Source(provider: provider, name: { "\(path): \($0.rawValue)" })]
    }

    /// A misspelt setting would otherwise have no effect and nobody would know.
    private static func checkKeys(of path: String) throws {
        let object: Any
        do {
            object = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch CocoaError.fileReadNoSuchFile {
            throw Failure(.configuration, "\(path): there is no such settings file")
        } catch {
            let reason = (error as NSError).userInfo[NSDebugDescriptionErrorKey] as? String
            throw Failure(.configuration, "\(path): is not JSON: \(reason ?? error.localizedDescription)")
        }
        guard let settings = object as? [String: Any] else {
            throw Failure(.configuration, "\(path): expected one JSON object, {\"setting\": value, …}")
        }
        let unknown = settings.keys.filter { SettingKey(rawValue: $0) == nil }.sorted()
        guard unknown.isEmpty else {
            let known = SettingKey.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure(
                .configuration, "\(path): unknown setting \(unknown.joined(separator: ", ")); known are \(known)")
        }
        let nested = settings.filter { !($0.value is String) && !($0.value is NSNumber) }.keys.sorted()
        guard nested.isEmpty else {
            throw Failure(.configuration, "\(path): \(nested.joined(separator: ", ")): expected text or a number")
        }
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
