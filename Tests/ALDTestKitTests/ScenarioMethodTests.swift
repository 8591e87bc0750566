import ALDTestKit
import Foundation
import Testing

/// Each scenario of the catalogue is run by a test that bears its number.
@Suite("The tests of the catalogue") struct ScenarioMethodTests {
    /// Those that no method `test_<ID>…` runs, `-` written as `_`.
    private static func missing(_ ids: [String], in texts: [String]) -> [String] {
        let methods = texts.flatMap { text in
            text.components(separatedBy: "func test_").dropFirst().map { method in
                (name: String(method.prefix { $0.isLetter || $0.isNumber || $0 == "_" }), body: method)
            }
        }
        return ids.filter { id in
            let number = id.replacingOccurrences(of: "-", with: "_")
            return !methods.contains { name, body in
                (name == number || name.hasPrefix(number + "_")) && body.contains("verify(\"\(id)\")")
            }
        }
    }

    @Test func everyScenarioHasAMethodOfItsName() throws {
        var texts: [String] = []
        for folder in ["Tests", "Benchmarks"] {
            let root = "\(Repository.root)/\(folder)"
            for case let name as String in FileManager.default.enumerator(atPath: root) ?? .init()
            where name.hasSuffix("Tests.swift") {
                texts.append(try String(contentsOfFile: "\(root)/\(name)", encoding: .utf8))
            }
        }
        let ids = Catalogue.scenarios.map(\.id)
        #expect(ids.count > 100)
        #expect(Self.missing(ids, in: texts) == [])
    }

    @Test func oneThatIsNotThereIsFound() {
        let texts = [
            """
            func test_A_01_some() async throws { try await Self.verify("A-01") }
            func test_A_02_some() async throws { try await Self.verify("A-20") }
            func test_A_030() async throws { try await Self.verify("A-03") }
            """
        ]
        #expect(Self.missing(["A-01", "A-02", "A-03", "A-04"], in: texts) == ["A-02", "A-03", "A-04"])
    }
}
