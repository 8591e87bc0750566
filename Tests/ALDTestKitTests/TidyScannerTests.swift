import Testing

@Suite struct TidyScannerTests {
    private func words(_ text: String) -> [String] {
        TidyFile(path: "Sources/X/x.swift", text: text).tokens.filter { $0.kind == .word }.map(\.text)
    }

    @Test(arguments: [
        ("a // b\nc", ["a", "c"]),
        ("a /* b /* c */ d */ e", ["a", "e"]),
        (#"a("b") c"#, ["a", "c"]),
        (#"a("b \" c") d"#, ["a", "d"]),
        (#"a("b \(c(d) + "e \(f)") g") h"#, ["a", "c", "d", "f", "h"]),
        (##"a(#"b \(c) " d"#) e"##, ["a", "e"]),
        (##"a(#"b \#(c)"#) e"##, ["a", "c", "e"]),
        (#"let a = "", b = c"#, ["let", "a", "b", "c"]),
        ("a(\"\"\"\n b \"c\" \\(d)\n \"\"\") e", ["a", "d", "e"]),
        (#"let a = /b"c/, d = e / f / g"#, ["let", "a", "d", "e", "f", "g"]),
        ("let a = #/b\"c/#, d", ["let", "a", "d"]),
        ("`case` `two words`", ["`case`", "`two words`"]),
        ("let größe = 0x1F", ["let", "größe"]),
        ("a /", ["a"]),
        ("\"unfinished", []),
        ("/* unfinished", []),
    ])
    func codeIsToldFromText(_ text: String, _ expected: [String]) {
        #expect(words(text) == expected)
    }

    @Test func linesAndDepthsAreCounted() {
        let file = TidyFile(path: "x.swift", text: "a {\n  \"\"\"\n  x\n  \"\"\" /* y\n y */ b\n}\nc\n")
        let places = file.tokens.filter { $0.kind == .word }.map { "\($0.text) \($0.line) \($0.depth)" }
        #expect(places == ["a 1 0", "b 5 1", "c 7 0"])
        #expect(file.lineCount == 7)
    }

    @Test func declarationsKnowTheirPlace() {
        let file = TidyFile(
            path: "x.swift",
            text: """
                public final class Outer<Element: P, Failure> where Element: Q { struct Inner {} ; class func f() {} }
                fileprivate enum Local {}
                extension Foreign { typealias Short = Int }
                private actor Hidden {}
                import struct Other.Thing
                let actor = Outer.self
                """)
        let found = file.declarations.map { type in
            "\(type.name)\(type.isTopLevel ? "" : " nested")\(type.isFileLocal ? " local" : "")"
        }
        #expect(found == ["Outer", "Inner nested", "Local local", "Short nested", "Hidden local"])
        #expect(file.localNames == ["Element", "Failure"])
        #expect(file.imports.map(\.module) == ["Other"])
    }
}
