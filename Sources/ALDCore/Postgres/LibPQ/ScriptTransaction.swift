/// Whether a script takes effect as a whole or not at all.
enum ScriptTransaction {
    /// Statements that end transactions of their own while they run, or cannot be undone as a whole.
    private static let selfCommitting: Set<String> = ["call", "do", "vacuum", "cluster", "reindex", "concurrently"]
    /// Statements that divide a script.
    private static let dividing: Set<String> = [
        "begin", "start", "commit", "end", "rollback", "abort", "prepare",
    ]

    /// True only if it is certain: words count wherever they stand, in texts and function bodies too.
    static func isWhole(_ script: String) -> Bool {
        let words = Set(
            script.lowercased().split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init))
        guard words.isDisjoint(with: selfCommitting) else { return false }
        let isSingle = !script.trimmed.dropTrailingSemicolons.contains(";")
        return isSingle || words.isDisjoint(with: dividing)
    }
}

extension String {
    fileprivate var dropTrailingSemicolons: Substring {
        var rest = self[...]
        while let last = rest.last, last == ";" || last.isWhitespace { rest.removeLast() }
        return rest
    }
}

extension PostgresError {
    /// The error of a script that may have committed a part of itself before.
    func inDoubtIfDivided(_ script: String) -> PostgresError {
        guard effect == .notApplied, !ScriptTransaction.isWhole(script) else { return self }
        var doubtful = self
        doubtful.effect = .unknown
        return doubtful
    }
}
