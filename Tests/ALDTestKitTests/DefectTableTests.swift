import ALDTestKit
import Foundation
import Testing

/// The table of `Tests/Defects.md` names tests and types that exist, for each of the sixty defects.
@Suite("The table of defects") struct DefectTableTests {
    private struct Row {
        var number: Int
        var names: [String]
    }

    private static func rows() throws -> [Row] {
        let text = try String(contentsOfFile: Repository.root + "/Tests/Defects.md", encoding: .utf8)
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
            guard cells.count == 6, let number = Int(cells[1].trimmingCharacters(in: .whitespaces)) else { return nil }
            let parts = cells[4].split(separator: "`", omittingEmptySubsequences: false)
            return Row(number: number, names: parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) })
        }
    }

    /// What the table names and is not there.
    private static func missing(_ rows: [Row]) throws -> [String] {
        let texts = try texts()
        func declares(_ text: String, _ name: String) -> Bool {
            let words = ["func", "struct", "enum", "class", "actor", "protocol"].map { "\($0) \(name)" }
            return words.contains { word in
                text.ranges(of: word).contains { range in
                    range.upperBound == text.endIndex || !isPartOfName(text[range.upperBound])
                }
            }
        }
        return rows.flatMap { row in
            row.names.filter { name in
                let parts = name.split(separator: "/").map(String.init)
                if parts.count == 2 {
                    return !texts.contains { path, text in
                        path.hasSuffix("/\(parts[0]).swift") && !path.hasPrefix("Sources/") && declares(text, parts[1])
                    }
                }
                return !texts.contains { path, text in path.hasPrefix("Sources/") && declares(text, name) }
            }.map { "\(row.number): \($0)" }
        }
    }

    /// The Swift files of the repository by their paths.
    private static func texts() throws -> [String: String] {
        var texts: [String: String] = [:]
        for folder in ["Sources", "Tests", "Benchmarks"] {
            let root = "\(Repository.root)/\(folder)"
            for case let name as String in FileManager.default.enumerator(atPath: root) ?? .init()
            where name.hasSuffix(".swift") {
                texts["\(folder)/\(name)"] = try String(contentsOfFile: "\(root)/\(name)", encoding: .utf8)
            }
        }
        return texts
    }

    private static func isPartOfName(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }

    @Test func everyDefectHasATestOrATypeThatIsThere() throws {
        let rows = try Self.rows()
        #expect(rows.map(\.number) == Array(1...60))
        for row in rows { #expect(!row.names.isEmpty, "\(row.number) is excluded by nothing") }
        #expect(try Self.missing(rows) == [])
    }

    /// One test goes through a list of its own.
    @Test func whatTheSchemaExcludesIsNamedAsSuch() throws {
        let name = "Tests/ALDCoreTests/Postgres/Schema/DefectTests.swift"
        let text = try #require(try Self.texts()[name])
        let listed = Set(text.split(separator: "number: ").dropFirst().compactMap { Int($0.prefix(while: \.isNumber)) })
        let named = try Self.rows().filter { $0.names.contains("DefectTests/eachIsRefused") }.map(\.number)
        #expect(listed.sorted() == named)
    }

    @Test func aNameThatIsNotThereIsFound() throws {
        let rows = [Row(number: 1, names: ["DefectTableTests/rows", "DefectTableTests/row", "Settings", "Settin"])]
        #expect(try Self.missing(rows) == ["1: DefectTableTests/row", "1: Settin"])
    }
}
