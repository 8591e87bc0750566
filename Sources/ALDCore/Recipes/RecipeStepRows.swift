/// The steps of a recipe as rows of `ald.recipe_steps`, and back.
struct RecipeStepRows {
    private struct Row {
        var step: RecipeStep
        var parent: Int32?
        var depth: Int16
        var position: Int32
    }

    private var rows: [Row] = []

    /// - Throws: ``RecipeStore/Problem`` for a time that is not of whole milliseconds, which is what the table holds.
    init(_ recipe: Recipe) throws(RecipeStore.Problem) {
        add(recipe.steps, parent: nil, depth: 0)
        for row in rows {
            for duration in [Self.duration(of: row.step), Self.hold(of: row.step)].compactMap(\.self)
            where duration.wholeNanoseconds % 1_000_000 != 0 {
                throw RecipeStore.Problem(
                    code: .invalid,
                    description: "step \(row.step.id): \(duration) is not a time of whole milliseconds")
            }
        }
    }

    private mutating func add(_ steps: [RecipeStep], parent: Int32?, depth: Int16) {
        for (index, step) in steps.enumerated() {
            rows.append(Row(step: step, parent: parent, depth: depth, position: Int32(index + 1)))
            add(step.children, parent: step.id, depth: depth + 1)
        }
    }

    // MARK: Into the table

    /// `$1` machine, `$2` recipe, `$3` version, then ``columns()``.
    static let insertion = """
        INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, parent_step_id, depth, position, kind,
            name, parameter_id, duration_ms, target_value, ramp_per_second, hold_ms, gas, iterations)
        SELECT $1, $2, $3, u.* FROM unnest($4::int[], $5::int[], $6::smallint[], $7::int[], $8::text[], $9::text[],
            $10::int[], $11::int[], $12::float8[], $13::float8[], $14::int[], $15::text[], $16::int[]) u
        """

    func columns() throws(PostgresError) -> [PostgresValue] {
        let steps = rows.map(\.step)
        return [
            .int4Array(steps.map(\.id)), .array(try PostgresArray(rows.map(\.parent))), .int2Array(rows.map(\.depth)),
            .int4Array(rows.map(\.position)), .textArray(steps.map(\.kind.word)), .textArray(steps.map(\.name)),
            .array(try PostgresArray(steps.map { Self.parameter(of: $0)?.rawValue })),
            .array(try PostgresArray(steps.map { Self.duration(of: $0).map(Self.milliseconds) })),
            .float8Array(steps.map { Self.target(of: $0)?.value }), .float8Array(steps.map(Self.ramp)),
            .array(try PostgresArray(steps.map { Self.hold(of: $0).map(Self.milliseconds) })),
            .array(try PostgresArray(steps.map(Self.gas))), .array(try PostgresArray(steps.map(Self.iterations))),
        ]
    }

    private static func milliseconds(_ duration: Duration) -> Int32 {
        Int32(clamping: duration.wholeNanoseconds / 1_000_000)
    }

    private static func duration(of step: RecipeStep) -> Duration? {
        switch step.kind {
        case .valve(_, let duration), .purge(_, let duration, _), .wait(let duration): duration
        case .parameter, .loop: nil
        }
    }

    private static func hold(of step: RecipeStep) -> Duration? {
        if case .parameter(_, _, let hold) = step.kind { hold } else { nil }
    }

    private static func target(of step: RecipeStep) -> SetPoint? {
        switch step.kind {
        case .purge(_, _, let flow): flow
        case .parameter(let point, _, _): point
        case .valve, .loop, .wait: nil
        }
    }

    private static func parameter(of step: RecipeStep) -> ParameterID? {
        if case .valve(let valve, _) = step.kind { valve } else { target(of: step)?.parameter }
    }

    private static func ramp(of step: RecipeStep) -> Double? {
        if case .parameter(_, let ramp, _) = step.kind { ramp } else { nil }
    }

    private static func gas(of step: RecipeStep) -> String? {
        if case .purge(let gas, _, _) = step.kind { gas } else { nil }
    }

    private static func iterations(of step: RecipeStep) -> Int32? {
        if case .loop(let iterations, _) = step.kind { Int32(clamping: iterations) } else { nil }
    }

    // MARK: Out of the table

    /// Parents before their children, and children in their order.
    static let selection = """
        SELECT step_id, parent_step_id, kind, name, parameter_id, duration_ms, target_value, ramp_per_second, hold_ms,
            gas, iterations
        FROM ald.recipe_steps WHERE machine_id = $1 AND recipe_id = $2 AND version = $3 ORDER BY depth, position
        """

    static func steps(from rows: PostgresResult) throws -> [RecipeStep] {
        var children: [Int32?: [(step: Int32, name: String, kind: RecipeStep.Kind)]] = [:]
        for row in rows {
            let parent: Int32? = try row.decode(1)
            children[parent, default: []].append((try row.decode(0), try row.decode(3), try kind(of: row)))
        }
        func assemble(_ parent: Int32?) -> [RecipeStep] {
            (children[parent] ?? []).map { entry in
                guard case .loop(let iterations, _) = entry.kind else {
                    return RecipeStep(id: entry.step, name: entry.name, entry.kind)
                }
                return RecipeStep(
                    id: entry.step, name: entry.name, .loop(iterations: iterations, assemble(entry.step)))
            }
        }
        return assemble(nil)
    }

    private static func kind(of row: PostgresRow) throws -> RecipeStep.Kind {
        func duration(_ column: Int) throws -> Duration { .milliseconds(Int64(try row.decode(column, as: Int32.self))) }
        func parameter() throws -> ParameterID { ParameterID(rawValue: try row.decode(4)) }
        func point() throws -> SetPoint { SetPoint(try parameter(), try row.decode(6)) }
        let word: String = try row.decode(2)
        switch word {
        case "valve": return .valve(try parameter(), open: try duration(5))
        case "purge":
            let hasFlow = try row.decode(4, as: Int32?.self) != nil
            return .purge(gas: try row.decode(9), for: try duration(5), flow: hasFlow ? try point() : nil)
        case "parameter": return .parameter(try point(), ramp: try row.decode(7), hold: try duration(8))
        case "loop": return .loop(iterations: Int(try row.decode(10, as: Int32.self)), [])
        case "wait": return .wait(try duration(5))
        default:
            throw RecipeStore.Problem(
                code: .invalid, description: "a step of kind \(word) is not known to this version; update the program")
        }
    }
}
