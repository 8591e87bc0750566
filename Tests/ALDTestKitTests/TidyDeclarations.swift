extension TidyFile {
    /// A type that this file declares.
    struct Declaration: Hashable {
        let name: String
        let line: Int
        /// Declared outside of every brace. The others belong to a type and are named through it.
        let isTopLevel: Bool
        /// `private` or `fileprivate`: no other file can mean it.
        let isFileLocal: Bool
    }

    private static let typeKeywords: Set = ["struct", "class", "actor", "enum", "protocol", "typealias"]
    private static let modifiers: Set = [
        "public", "package", "internal", "fileprivate", "private", "open", "final", "indirect", "distributed",
        "nonisolated",
    ]
    /// `class func` and its like declare no type; `case actor` and `let enum` do not occur before these.
    private static let notNames: Set = ["func", "var", "let", "subscript", "init", "case", "override", "in"]

    /// The types declared anywhere in the file, nested ones included.
    var declarations: [Declaration] {
        tokens.indices.compactMap { index in
            guard Self.typeKeywords.contains(tokens[index].text), tokens[index].kind == .word,
                let name = token(index + 1), name.kind == .word, !Self.notNames.contains(name.text),
                text(index - 1) != ".", text(index - 1) != "import", name.line - tokens[index].line <= 1
            else { return nil }
            var isFileLocal = false
            var before = index - 1
            while let word = text(before), Self.modifiers.contains(word) {
                if word.hasSuffix("private") { isFileLocal = true }
                before -= 1
            }
            return Declaration(
                name: name.text, line: name.line, isTopLevel: tokens[index].depth == 0, isFileLocal: isFileLocal)
        }
    }

    /// Names that mean something local wherever they stand in this file: generic parameters and associated types.
    var localNames: Set<String> {
        var names: Set<String> = []
        for index in tokens.indices {
            if tokens[index].text == "associatedtype", let name = text(index + 1) { names.insert(name) }
            guard tokens[index].text == "<" else { continue }
            let declares =
                ["init", "subscript"].contains(text(index - 1) ?? "")
                || (Self.typeKeywords.union(["func"]).contains(text(index - 2) ?? "")
                    && token(index - 1)?.kind == .word)
            if declares { names.formUnion(genericParameters(from: index)) }
        }
        return names
    }

    private func genericParameters(from open: Int) -> [String] {
        var names: [String] = []
        var nesting = 0
        for index in tokens[open...].indices {
            switch tokens[index].text {
            case "<": nesting += 1
            case ">": nesting -= 1
            case "{", "}", "(": return names
            default: break
            }
            if nesting == 0 { return names }
            let opensParameter = ["<", ",", "each", "let"].contains(text(index - 1) ?? "")
            if nesting == 1, opensParameter, tokens[index].kind == .word { names.append(tokens[index].text) }
        }
        return names
    }

    /// The modules that the file imports, as in `import A`, `public import A` and `import struct A.B`.
    var imports: [(module: String, line: Int)] {
        tokens.indices.compactMap { index in
            guard tokens[index].text == "import", tokens[index].depth == 0, text(index - 1) != "." else { return nil }
            let kinds = Self.typeKeywords.union(["func", "var", "let"])
            let name = kinds.contains(text(index + 1) ?? "") ? token(index + 2) : token(index + 1)
            guard let name, name.kind == .word, name.line == tokens[index].line else { return nil }
            return (name.text, name.line)
        }
    }
}
