import ALDCore

/// What the terminals of a ``VirtualPlant`` have done, beside what they were asked for and what is in the database, and
/// what is concluded from it.
struct PlantAccount: Sendable {
    /// Instants with readings, and all that were due.
    var cycles = 0
    var due = 0
    /// Of those with readings, how many were late.
    var lateCycles = 0
    var cycleTime = DurationHistogram()
    /// Readings that the collection has accepted, and records of any kind that the writer has.
    var collected = 0
    var accepted = 0
    /// Those in the database, each counted once, and how many came again.
    var readings = 0
    var landed = 0
    var repeated = 0
    /// What was asked for, however often, and how all that began has ended.
    var commands = 0
    var recipes = 0
    var commandEnds: [String: Int] = [:]
    var recipeEnds: [String: Int] = [:]

    /// One that is lost and one that came again do not make up for each other, nor do records of two kinds.
    var lostOrDoubled: Int {
        let others = (accepted - collected, landed - readings)
        return abs(collected - readings) + abs(others.0 - others.1) + repeated
    }

    func note(_ run: ScenarioRun) {
        run.note("cycles", count: cycles)
        run.note("missed instants", count: due - cycles)
        run.note("violations", Double(due - cycles + lateCycles) / Double(max(1, due)), .ratio)
        run.note("cycle time", cycleTime)
        run.note("readings", count: readings)
        run.note("lost or doubled", count: lostOrDoubled)
        let (succeeded, completed) = (
            commandEnds["succeeded", default: 0], recipeEnds["completed", default: 0]
        )
        run.note("commands", count: commands)
        run.note("commands that did not succeed", count: max(0, commands - succeeded))
        run.note("recipes", count: recipes)
        run.note("recipes that did not complete", count: max(0, recipes - completed))
        for (end, count) in recipeEnds.sorted(by: { $0.key < $1.key }) where end != "completed" {
            run.say("\(count) recipes: \(end)")
        }
        for (end, count) in commandEnds.sorted(by: { $0.key < $1.key }) where end != "succeeded" {
            run.say("\(count) commands: \(end)")
        }
    }
}
