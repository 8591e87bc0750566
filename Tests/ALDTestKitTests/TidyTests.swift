import Testing

/// Applies the rules of this repository to the repository.
@Suite struct TidyTests {
    @Test func theRepositoryIsTidy() throws {
        let repository = try TidyRepository()
        try #require(repository.topLevel.contains("Package.swift"), "found \(repository.topLevel)")
        try #require(!repository.swift.isEmpty)
        let problems = TidyDirection.check(repository.swift) + TidyRules.check(repository)
        for problem in problems.sorted() {
            Issue.record("\(problem)")
        }
    }
}
