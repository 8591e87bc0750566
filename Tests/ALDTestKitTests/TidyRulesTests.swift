import Testing

/// Each rule is proved by snippets that break it and by look-alikes that do not.
@Suite struct TidyRulesTests {
    private func file(_ path: String, _ text: String) -> TidyFile { TidyFile(path: path, text: text) }

    // MARK: Direction

    private let base = [
        TidyFile(path: "Sources/ALDCore/Foundations/Ring.swift", text: "struct Ring {}"),
        TidyFile(path: "Sources/ALDCore/Postgres/Pool.swift", text: "public struct Pool { struct State {} }"),
        TidyFile(path: "Sources/ALDCore/Services/Terminal.swift", text: "actor Terminal {}\nprivate struct Ring {}"),
        TidyFile(path: "Sources/ALDCore/Observability/Page.swift", text: "final class Page {}"),
        TidyFile(path: "Sources/ALDCore/PLC/Reading.swift", text: "enum Reading {}"),
    ]

    private func direction(_ path: String, _ text: String) -> [String] {
        TidyDirection.check(base + [file(path, text)]).map(\.description)
    }

    @Test(arguments: [
        ("Resilience", "let a: Pool", "Postgres"),
        ("Resilience", "\nlet a = ALDCore.Pool()", "Postgres"),
        ("Foundations", "extension Terminal {}", "Services"),
        ("PLC", "func f(_ a: [Pool]) {}", "Postgres"),
        ("Postgres", "let a = \"\\(Reading.self)\"", "PLC"),
        ("Recipes", "let a = Page()", "Observability"),
        ("Observability", "let a: Terminal", "Services"),
    ])
    func aNameToTheRightIsReported(_ folder: String, _ text: String, _ other: String) throws {
        let path = "Sources/ALDCore/\(folder)/New.swift"
        let problem = try #require(direction(path, text).first)
        #expect(problem.hasPrefix("\(path):\(text.hasPrefix("\n") ? 2 : 1): \(folder) names `"))
        #expect(problem.contains("of \(other)"))
        #expect(direction(path, text).count == 1)
    }

    @Test(arguments: [
        ("Writing", "let a: Pool, b: Ring"),
        ("Recipes", "let a: Pool, b: Reading"),
        ("Services", "let a: Pool, b: Page"),
        ("Foundations", "// Pool\nlet a = \"Pool\" /* Terminal */"),
        ("Resilience", "struct Mine { enum Pool {}; var a: Pool }"),
        ("Resilience", "struct Mine<Pool> { var a: Pool }\nfunc f<Page: P>(_ a: Page) {}"),
        ("Resilience", "let a = Foreign.Pool()"),
        ("Resilience", "extension Duration { struct State {} }"),
    ])
    func aNameThatMayBeUsedIsNot(_ folder: String, _ text: String) {
        #expect(direction("Sources/ALDCore/\(folder)/New.swift", text) == [])
    }

    @Test func aNameInTwoFoldersIsReportedAtBoth() {
        let found = direction("Sources/ALDCore/Writing/New.swift", "\nstruct Pool {}")
        #expect(found.count == 2)
        #expect(found.contains { $0.hasPrefix("Sources/ALDCore/Writing/New.swift:2: `Pool` is declared in another") })
    }

    @Test(arguments: ["Sources/ALDCore/Loose.swift", "Sources/ALDCore/Stuff/New.swift"])
    func aFileOutsideOfTheFoldersIsReported(_ path: String) {
        #expect(direction(path, "").map { $0.hasPrefix("\(path):1: a") } == [true])
    }

    @Test(arguments: [
        ("Sources/Modbus/Client/a.swift", "import ALDCore"),
        ("Sources/ALDCore/PLC/a.swift", "public import ALDTestKit"),
        ("Sources/ALDCore/Resilience/a.swift", "import Modbus"),
        ("Sources/ALDCore/Writing/a.swift", "import struct Modbus.UnitID"),
        ("Sources/ALDCore/Postgres/Pool/a.swift", "internal import CLibPQ"),
        ("Tests/ALDCoreTests/a.swift", "import CLibPQ"),
        ("Sources/ALDTestKit/Reports/a.swift", "import CZlib"),
        ("Sources/ALDTestKit/a.swift", "#if DEBUG\n@testable import XCTest\n#endif"),
        ("Sources/ald/a.swift", "import Testing"),
    ])
    func anImportAgainstTheDirectionIsReported(_ path: String, _ text: String) {
        #expect(direction(path, text).count == 1)
    }

    @Test(arguments: [
        ("Sources/ALDCore/PLC/a.swift", "import Modbus"),
        ("Sources/ALDCore/Postgres/LibPQ/a.swift", "import CLibPQ"),
        ("Sources/ALDCore/Observability/Logs/a.swift", "import CZlib"),
        ("Sources/ald/a.swift", "import ALDCore\nimport ALDTestKit\nimport Modbus"),
        ("Tests/StressPLC/a.swift", "import XCTest\nimport ALDCore"),
    ])
    func anImportAlongTheDirectionIsNot(_ path: String, _ text: String) {
        #expect(direction(path, text) == [])
    }

    // MARK: Pure files

    @Test(arguments: [
        "let a = ContinuousClock.now", "let a = SuspendingClock()", "let a = Date()", "let a = NIODeadline.now()",
        "let a = NIODeadline.now + .seconds(1)", "clock_gettime(1, &a)", "let a = DispatchTime.distantFuture",
        "let a: any TimeSource", "let a = Task { }", "let a = Task(priority: nil) { }", "Task.yield()",
        "func f() async {}", "let a = b.random(in: 0..<6)", "let a = b.shuffled()", "let a = c.randomElement()",
        "var a = SystemRandomNumberGenerator()", "import NIOPosix", "ServerBootstrap(group: a)", "socket(1, 2, 3)",
        "print(a)", "let a = \"\\(Date())\"", "withTaskGroup(of: Int.self) { }",
    ])
    func aPureFileThatActsIsReported(_ text: String) {
        let paths = [
            "Sources/Modbus/Protocol/a.swift", "Sources/Modbus/Planning/a.swift", "Sources/ALDCore/Resilience/a.swift",
            "Sources/ALDCore/Foundations/Ring.swift", "Sources/ALDCore/Postgres/Pool/PoolStateMachine.swift",
            "Sources/ALDCore/Recipes/RecipeMachine.swift", "Sources/ALDCore/Services/CycleSchedule.swift",
        ]
        for path in paths {
            #expect(TidyRules.pureFiles(file(path, text)).map(\.line) == [1], "\(path)")
        }
        #expect(TidyRules.pureFiles(file("Sources/ALDCore/Services/Terminal.swift", text)) == [])
    }

    @Test(arguments: [
        "// async Task { print( }", "let a = \"Date()\"", "let date: Date", "let a = b.random(in: 0..<6, using: &c)",
        "func step(now: MonotonicInstant) {}", "let now = a.now", "let a = b.print()", "case socket(Int)",
        "let a = c.shuffled(using: &generator)", "let a = Tasks()",
    ])
    func aPureFileThatDecidesIsNot(_ text: String) {
        #expect(TidyRules.pureFiles(file("Sources/ALDCore/Resilience/a.swift", text)) == [])
    }

    @Test func anExceptionNobodyNeedsIsReported() {
        let path = "Sources/ALDCore/Foundations/TimeSource.swift"
        let needed = file(path, "protocol TimeSource { func sleep() async }\nfunc f() { await a() }")
        #expect(TidyRules.pureFiles(needed) == [])
        #expect(TidyRules.unneededExceptions([needed]).filter { $0.path == path } == [])
        let spare = file(path, "protocol TimeSource { func sleep() async }\nlet a = Date()")
        #expect(TidyRules.pureFiles(spare).map(\.line) == [2])
        #expect(TidyRules.unneededExceptions([spare]).filter { $0.path == path }.count == 1)
    }

    // MARK: Size, names, words

    @Test func aFileOfMoreThan600LinesIsReported() {
        let lines = Array(repeating: "//\n", count: 600).joined()
        #expect(TidyRules.size(file("Tests/A/a.swift", lines)) == [])
        #expect(TidyRules.size(file("Tests/A/a.swift", lines + "//")).count == 1)
    }

    @Test(arguments: [
        ("Sources/A/Utils/a.swift", ""), ("Tests/Helpers/a.swift", ""), ("Sources/A/new/a.swift", ""),
        ("Sources/A/Internal/a.swift", ""), ("Sources/A/a.swift", "final class PoolManager {}"),
        ("Tests/A/a.swift", "struct A { enum TextUtil {} }"), ("Benchmarks/a.swift", "struct Helper {}"),
    ])
    func aNameThatSaysNothingIsReported(_ path: String, _ text: String) {
        #expect(TidyRules.names(file(path, text)).count == 1)
        #expect(TidyRules.names(file("Sources/A/a.swift", "let a = FileManager.default; struct Management {}")) == [])
    }

    @Test(arguments: [
        "try! a()", "fatalError(\"a\")", "preconditionFailure()", "nonisolated(unsafe) var a = 1",
        "Task { await a() }",
        "_ = Task { await a() }", "func f() { Task(priority: .low) { } }", "Task.detached { }",
        "let a = Task.detached { }",
        "// TODO: later", "/* a\n FIXME */", "struct A: @unchecked Sendable {}",
        "// a lock\nstruct A: @unchecked Sendable {}",
        "// because of b\n\nstruct A: @unchecked Sendable {}",
    ])
    func aForbiddenWordInSourcesIsReported(_ text: String) {
        #expect(TidyRules.sources(file("Sources/A/a.swift", text)).count == 1)
        #expect(TidyRules.sources(file("Tests/A/a.swift", text)) == [])
    }

    @Test(arguments: [
        "try a()", "let a = Task { }", "return Task { }", "await Task { }.value", "precondition(a > 0)",
        "// Safe because a lock guards it.\nstruct A: @unchecked Sendable {}",
        "/// Safe since a lock\n/// guards it.\n@available(macOS 15, *)\npublic final class A:\n    @unchecked Sendable {}",
        "struct A: @unchecked Sendable {}  // because it is immutable", "let a: Task<Void, Never>", "let a = \"TODO\"",
    ])
    func aLookAlikeInSourcesIsNot(_ text: String) {
        #expect(TidyRules.sources(file("Sources/A/a.swift", text)) == [])
    }

    @Test(arguments: ["try await Task.sleep(for: .seconds(1))", "usleep(1)", "sleep(1)", "await clock.sleep(until: a)"])
    func aTestThatSleepsIsReported(_ text: String) {
        #expect(TidyRules.tests(file("Tests/A/a.swift", text)).count == 1)
        #expect(TidyRules.tests(file("Benchmarks/a.swift", text)).count == 1)
        #expect(TidyRules.tests(file("Sources/ALDTestKit/a.swift", text)) == [])
        #expect(TidyRules.tests(file("Tests/A/a.swift", "func sleep(until a: Int) {}; let sleep = 1")) == [])
    }

    // MARK: Places

    @Test(arguments: ["home", "root", "work", "opt/swift"])
    func aPathOfOneMachineIsReported(_ folder: String) {
        let bad = ["let a = \"/\(folder)/x\"", "cd /\(folder)/x", "PATH=/\(folder)/usr/bin:/bin", "/\(folder)/x"]
        for line in bad {
            #expect(TidyRules.machinePaths(path: "Makefile", lines: [line[...]]).count == 1, "\(line)")
        }
        let good = [
            "a/\(folder)/x", "\\(base)/\(folder)/x", "$HOME/\(folder)/", "https://a.b/\(folder)/", "/\(folder)",
            "\"/home" + "/linuxbrew/x\"",
        ]
        for line in good {
            #expect(TidyRules.machinePaths(path: "README.md", lines: [line[...]]) == [], "\(line)")
        }
    }

    @Test func aNewNameAtTheTopLevelIsReported() {
        let known = ["Package.swift", "Sources", ".build", ".build-release", ".ald", ".git", "Package.resolved", ".ci"]
        #expect(TidyRules.topLevel(known) == [])
        #expect(TidyRules.topLevel(known + ["Scripts", "notes.md"]).map(\.path) == ["Scripts", "notes.md"])
    }
}
