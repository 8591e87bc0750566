import ALDTestKit
import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Recipes go into the database and come out as they were.
    @Suite struct RecipeStoring {
        static func withStore(_ body: @Sendable (RecipeStore, PostgresConnection) async throws -> Void) async throws {
            try await SchemaDatabase.with { connection, _ in
                let map = try RegisterMap(file: Repository.machine51)
                _ = try await MachineRegistration(machine: 1, name: "ALD-1", registerMap: map)
                    .register(connection, deadline: .patience)
                try await body(RecipeStore(machine: 1), connection)
            }
        }

        static func wait(_ milliseconds: Int64, name: String = "r") -> Recipe {
            Recipe(name: name, description: "d", steps: [RecipeStep(id: 1, .wait(.milliseconds(milliseconds)))])
        }

        @Test("Whatever recipe is stored is loaded as it was")
        func roundTrip() async throws {
            try await Self.withStore { store, connection in
                let seed = TestSeed.draw()
                var random = SeededGenerator(seed: seed)
                for number in 0..<25 {
                    var last: Int32 = Int32.random(in: 0...5, using: &random)
                    var recipe = Recipe(
                        name: "größe \(number)", description: "\"q\" \\ \n",
                        steps: RecipeSchedulesTests.steps(depth: 0, &last, &random))
                    recipe.steps.append(
                        RecipeStep(
                            id: last + 1, name: "ż",
                            .parameter(
                                SetPoint(RecipeSchedulesTests.flow, Double.random(in: 0...200, using: &random)),
                                ramp: Double.random(in: 1e-9...1e9, using: &random), hold: .seconds(86_400))))
                    let stored = try await store.store(
                        recipe, author: "engineer", on: connection, deadline: .patience)
                    let loaded = try await store.load(stored.version, on: connection, deadline: .patience)
                    #expect(loaded == recipe, "seed \(seed), recipe \(number)")
                    #expect(stored.isNew && stored.version.steps == recipe.outline.count)
                    let again = try await store.store(recipe, author: "e", on: connection, deadline: .patience)
                    #expect(!again.isNew && again.version == stored.version)
                }
            }
        }

        @Test("A change is a new version, what is there is not stored again, a draft can be released later")
        func versions() async throws {
            try await Self.withStore { store, connection in
                func put(
                    _ recipe: Recipe, releasing: Bool = true
                ) async throws -> (Int32, RecipeStore.Version.Status, Bool) {
                    let stored = try await store.store(
                        recipe, author: "ann", note: "n", releasing: releasing, on: connection, deadline: .patience)
                    return (stored.version.version, stored.version.status, stored.isNew)
                }
                #expect(try await put(Self.wait(1)) == (1, .released, true))
                #expect(try await put(Self.wait(1)) == (1, .released, false))
                #expect(try await put(Self.wait(2), releasing: false) == (2, .draft, true))
                #expect(try await put(Self.wait(2), releasing: false) == (2, .draft, false))
                // What can be run is still the first.
                let current = try await store.version(named: "r", on: connection, deadline: .patience)
                #expect(current.version == 1 && current.releasedBy == "ann")
                #expect(try await put(Self.wait(2)) == (2, .released, false))
                #expect(try await store.version(named: "r", on: connection, deadline: .patience).version == 2)
                #expect(try await put(Self.wait(1)) == (3, .released, true))
                let all = try await store.versions(on: connection, deadline: .patience)
                #expect(all.map(\.version) == [3, 2, 1])
                #expect(
                    try await connection.rows(
                        "SELECT DISTINCT acting_for FROM ald.audit_log WHERE table_name = 'recipe_versions'") == ["ann"]
                )
            }
        }

        @Test("What cannot be stored leaves nothing behind, and what is not there is named")
        func refusals() async throws {
            try await Self.withStore { store, connection in
                await #expect(throws: RecipeStore.Problem.self) {
                    try await store.store(
                        Recipe(name: "r", steps: [RecipeStep(id: 1, .wait(.microseconds(1500)))]), author: "e",
                        on: connection, deadline: .patience)
                }
                let hot = Recipe(
                    name: "hot",
                    steps: [
                        RecipeStep(id: 1, .parameter(SetPoint(ParameterID(rawValue: 1), 5000), ramp: nil, hold: .zero))
                    ])
                await #expect(throws: PostgresError.self) {
                    try await store.store(hot, author: "e", on: connection, deadline: .patience)
                }
                #expect(try await connection.rows("SELECT name FROM ald.recipes") == [])
                _ = try await store.store(Self.wait(1), author: "e", on: connection, deadline: .patience)
                for (name, number, message) in [
                    ("x", nil, "no recipe is called \"x\"; there are: r"), ("r", 7, "recipe \"r\" has no version 7"),
                ] as [(String, Int32?, String)] {
                    await #expect(throws: RecipeStore.Problem(code: .notFound, description: message)) {
                        try await store.version(named: name, number, on: connection, deadline: .patience)
                    }
                }
            }
        }
    }
}
