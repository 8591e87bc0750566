/// Everything that is wrong with a configuration, all at once, so that nobody has to fix it one message at a time.
public struct ConfigurationProblems: Error, CustomStringConvertible, Sendable {
    /// One sentence per problem: which setting, which value, what is allowed.
    public let problems: [String]

    /// Exactly one problem.
    init(one problem: String) { problems = [problem] }

    /// - Returns: `nil` when there is nothing to complain about.
    public init?(_ problems: [String]) {
        if problems.isEmpty { return nil }
        self.problems = problems
    }

    public var description: String {
        problems.count == 1
            ? problems[0]
            : "\(problems.count) settings are wrong:\n" + problems.map { "  - \($0)" }.joined(separator: "\n")
    }
}
