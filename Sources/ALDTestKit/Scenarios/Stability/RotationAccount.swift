import ALDCore

/// What the logs of services have become that were put away for hours and days, and what is concluded from it.
struct RotationAccount: Sendable {
    struct Service: Sendable {
        var name: String
        /// How many full files its lines would make.
        var volume: Double
        /// How often its file was put away, and lines that the disk did not take.
        var rotations: Int
        var lost: Int
        /// Those that are kept.
        var archives: [LogArchive]
        var reading = LogReading()

        var deleted: Int { rotations - archives.count }

        /// How many of its files may be deleted, because later ones are as many as are kept.
        func deletable(keeping count: Int) -> Int { max(0, rotations - count) }

        /// As often as its own lines make it, whatever the others do.
        var rotatesByItself: Bool {
            let count = Double(rotations)
            return count >= volume * 0.7 - 1 && count <= volume * 1.3 + 2
        }
    }

    /// A log on a disk that takes nothing.
    struct Full: Sendable {
        var lines: Int
        var lost: Int
        var alerts: Int
    }

    /// Of each service.
    let policy: LogRotation.Policy
    /// The most bytes that were on the disk, at any look.
    var most: Int
    var services: [Service] = []
    /// `nil`: no disk was filled.
    var full: Full?

    /// Of each service: what is kept, what is written, and one file that is being compressed.
    private var bound: Int {
        let kept = Double(policy.keptFiles) * Double(policy.maximumBytes)
        return services.count * Int(min(Double(policy.keptBytes), kept) + 2 * Double(policy.maximumBytes))
    }

    func note(_ run: ScenarioRun) {
        func note(_ name: String, of count: (Service) -> Int) {
            run.note(name, count: services.reduce(0) { $0 + count($1) })
        }
        run.note("most on the disk", Double(most), .bytes)
        run.note("most on the disk, of what there may be", Double(most) / Double(max(1, bound)), .ratio)
        for service in services {
            for problem in service.reading.problems.prefix(3) { run.say("\(service.name): \(problem)") }
            run.say(
                "\(service.name): \(service.reading.lines) lines in \(service.archives.count + 1) files, "
                    + "\(service.deleted) deleted")
        }
        note("lines") { $0.reading.lines }
        note("lines lost, doubled, torn or out of order") { $0.reading.problems.count }
        note("lines that the disk did not take") { $0.lost }
        note("files") { $0.reading.files.count + 1 }
        note("files put away") { $0.rotations }
        note("files deleted") { $0.deleted }
        note("files deleted that are to be kept") { max(0, $0.deleted - $0.deletable(keeping: policy.keptFiles)) }
        note("files not compressed") { $0.archives.count { !$0.isCompressed } }
        note("files beyond those that are kept") { max(0, $0.archives.count - policy.keptFiles) }
        note("files that are too long") { $0.reading.sizes.values.count { $0 > policy.maximumBytes } }
        note("lines in a file of another day") { $0.reading.misplaced }
        run.note("days", count: services.reduce(into: Set<String>()) { $0.formUnion($1.reading.dates) }.count)
        run.note("services that rotate with others", count: services.count { !$0.rotatesByItself })
        if let full {
            run.note("alerts of a full disk", count: full.alerts)
            run.sometimes("a disk was full", full.lines > 0 && full.lost == full.lines)
        }
    }
}
