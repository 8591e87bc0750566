import Testing

@testable import ALDCore

/// Recipes as people write them.
@Suite struct RecipeFileTests {
    let map: RegisterMap

    init() throws {
        map = try RecipeRulesTests().map
    }

    func problems(_ text: String) -> [String] {
        do {
            _ = try RecipeFile(text: text, name: "r.yaml", map: map)
            return []
        } catch {
            return error.problems
        }
    }

    static let alumina = """
        recipe: TMA and water
        description: one monolayer per cycle
        steps:
          - set: MFC 1.flow
            to: 100
            ramp: 0.5
            hold: 10m
          - loop: 100
            name: cycle
            steps:
              - valve: Valve 1.valve_state
                open: 15ms
              - purge: N2
                for: 2s
                flow: MFC 1.flow
                to: 80
              - wait: 1.5s

        """

    @Test func everyKindIsRead() throws {
        let file = try RecipeFile(text: Self.alumina, name: "r.yaml", map: map)
        let (flow, valve) = (RecipeRulesTests.flow, RecipeRulesTests.valve)
        #expect(
            file.recipe
                == Recipe(
                    name: "TMA and water", description: "one monolayer per cycle",
                    steps: [
                        RecipeStep(id: 1, .parameter(SetPoint(flow, 100), ramp: 0.5, hold: .seconds(600))),
                        RecipeStep(
                            id: 2, name: "cycle",
                            .loop(
                                iterations: 100,
                                [
                                    RecipeStep(id: 3, .valve(valve, open: .milliseconds(15))),
                                    RecipeStep(id: 4, .purge(gas: "N2", for: .seconds(2), flow: SetPoint(flow, 80))),
                                    RecipeStep(id: 5, .wait(.milliseconds(1500))),
                                ])),
                    ]))
        #expect(file.lines == [1: 4, 2: 8, 3: 11, 4: 13, 5: 17])
    }

    static let wrong: [(String, String)] = [
        ("wait: 1us", "`wait` is no time of whole milliseconds, such as 15ms, 2s, 1.5s, 10m or 1h"),
        ("wait: 0.5ms", "`wait` is no time of whole milliseconds, such as 15ms, 2s, 1.5s, 10m or 1h"),
        ("wait: -3s", "`wait` is no time of whole milliseconds, such as 15ms, 2s, 1.5s, 10m or 1h"),
        ("wiat: 3s", "no kind of step; expected one of `valve`, `purge`, `set`, `loop`, `wait`"),
        ("{wait: 3s, loop: 2}", "several kinds in one step: `loop`, `wait`"),
        ("{wait: 3s, hold: 2s}", "`hold` is not known here; known are `wait`, `name`"),
        ("valve: Valve 1.valve_state", "`open` is missing for `valve`"),
        (
            "{valve: Valve 7.valve_state, open: 1s}",
            "unknown parameter \"Valve 7.valve_state\"; names look like \"Valve 1.valve_state\": it is not in the register map"
        ),
        ("{valve: [1], open: 1s}", "expected the name of a parameter, for instance Valve 1.valve_state"),
        ("{loop: 2.5, steps: [{wait: 1s}]}", "`loop` is no whole number"),
        ("{loop: 2, steps: {wait: 1s}}", "`steps` is no list; every step begins with a dash"),
        ("{set: MFC 1.flow, to: many}", "`to` is no number"),
        ("{set: MFC 1.flow, to: .inf}", "`to` is no number"),
        ("{purge: N2, for: 1s, flow: MFC 1.flow}", "`flow` without `to`: say what it is set to"),
        ("{purge: N2, for: 1s, to: 5}", "`to` without `flow`: say which flow is set"),
        ("3s", "a step is written as `kind: value`, for instance `wait: 3s`"),
    ]

    @Test(arguments: wrong) func eachMistakeIsNamedWithItsLine(step: String, message: String) {
        #expect(problems("recipe: r\nsteps:\n  - wait: 1s\n  - \(step)\n").contains("r.yaml:4: \(message)"))
    }

    @Test func whatIsNoRecipeAtAll() {
        #expect(problems("").first?.hasPrefix("r.yaml: expected `recipe: name`") == true)
        #expect(problems("- 1").first?.hasPrefix("r.yaml: expected `recipe: name`") == true)
        #expect(problems("recipe: [").first?.hasPrefix("r.yaml: no YAML: ") == true)
        #expect(problems("recipe: a\nrecipe: b\nsteps: []").first?.hasPrefix("r.yaml: no YAML: ") == true)
        #expect(problems("steps: []\n") == ["r.yaml:1: `recipe` is missing"])
        #expect(problems("recipe: r\n") == ["r.yaml:1: `steps` is missing"])
    }

    @Test("A few lines that stand for a billion steps do not fill the memory")
    func laughs() {
        var text = "recipe: r\nx0: &x0 [{wait: 1s}]\n"
        for level in 1...12 {
            text +=
                "x\(level): &x\(level) ["
                + Array(repeating: "{loop: 1, steps: *x\(level - 1)}", count: 10).joined(separator: ", ") + "]\n"
        }
        text += "steps: *x12\n"
        #expect(problems(text).contains { $0.contains("more than 10000 steps; use loops") })
    }

    @Test func whatIsWrittenReadsBackTheSame() throws {
        let file = try RecipeFile(text: Self.alumina, name: "r.yaml", map: map)
        #expect(try RecipeFile(text: file.recipe.yaml(map: map), name: "again", map: map).recipe == file.recipe)
        for name in [
            "yes", "1", "a: b", "\"q\" \\ \u{85}\u{2028}\n", " x ", "größe", "-", "# no", "~", "null", "N2", "0x10",
            "a.b", "\u{0}",
        ] {
            let recipe = Recipe(
                name: name, description: name, steps: [RecipeStep(id: 1, name: name, .wait(.milliseconds(1)))])
            #expect(try RecipeFile(text: recipe.yaml(map: map), name: "again", map: map).recipe == recipe)
        }
    }
}
