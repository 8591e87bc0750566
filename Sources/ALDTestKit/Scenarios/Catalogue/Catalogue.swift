/// Every scenario of the requirement documents: 105 with a number, four without, and those of the synchronisation suite.
public enum Catalogue {
    public static let scenarios: [Scenario] =
        database + controller + stability + failureInjection + benchmarks + synchronisation

    private static let byID = Dictionary(uniqueKeysWithValues: scenarios.map { ($0.id, $0) })

    public static func scenario(_ id: String) -> Scenario? { byID[id] }

    /// The scenarios that match any of the patterns, in the order of the catalogue; `*` stands for anything.
    ///
    /// - Throws: ``UnknownScenario`` for a pattern that matches none.
    public static func matching(_ patterns: [String]) throws(UnknownScenario) -> [Scenario] {
        for pattern in patterns where !scenarios.contains(where: { matches($0.id, pattern) }) {
            throw UnknownScenario(pattern: pattern)
        }
        return scenarios.filter { scenario in patterns.contains { matches(scenario.id, $0) } }
    }

    private static func matches(_ id: String, _ pattern: String) -> Bool {
        let parts = pattern.uppercased().split(separator: "*", omittingEmptySubsequences: false)
        guard let first = parts.first, let last = parts.last, parts.count > 1 else { return id == pattern.uppercased() }
        guard id.hasPrefix(first), id.hasSuffix(last), id.count >= first.count + last.count else { return false }
        var rest = id.dropFirst(first.count).dropLast(last.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let range = rest.firstRange(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return true
    }
}

/// No scenario has this number.
public struct UnknownScenario: Error, Sendable, CustomStringConvertible {
    public var pattern: String

    public var description: String {
        "no scenario matches \(pattern): `ald stress --list` shows all; patterns are like DB-HF-01, PLC-* or *-03"
    }
}
