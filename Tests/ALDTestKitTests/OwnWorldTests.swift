import ALDCore
import ALDTestKit
import Foundation
import Logging
import Testing

/// A world of one's own, made of what the product gives everybody: no access to internals.
@Suite("A world of one's own") struct OwnWorldTests {
    /// A recorder writes while the database is away, dies, and its next life finds its spool.
    @discardableResult private func story(_ world: World, in directory: String) throws -> WorldDatabase {
        let (database, disk) = (WorldDatabase(world), SimulatedDisk())
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        /// A life of the recorder, which ends with its death.
        func live(_ node: WorldNode, _ body: @escaping @Sendable (BatchWriter) async throws -> Void) throws {
            var random = world.stream("spool of \(node.name)")
            let spool = try node.spool(in: directory, on: disk, random: &random, logger: logger)
            let writer = try BatchWriter(
                spool: spool, sink: database, time: node.time, random: world.stream("writer of \(node.name)"),
                logger: logger)
            node.spawn { try await writer.run() }
            let work = node.spawn { try await body(writer) }
            try world.run(for: .seconds(60))
            try work.outcome?.get()
            #expect(work.isDone)
            node.crash()
            // The dead process stored nothing more; here the lock of its directory has to be given up.
            let image = disk.image
            try spool.close()
            disk.restore(image)
        }
        world.invariant("nothing lands that was not accepted, and nothing twice") {
            database.records <= 20 && database.landed.values.allSatisfy { $0.rows == 1 }
        }
        database.faults.isDown = true
        try live(world.node("first life")) { writer in
            for second in 0..<20 {
                let row = HistoryRow(
                    parameter: ParameterID(rawValue: 1), time: Timestamp(microseconds: Int64(second) * 1_000_000),
                    value: 1,
                    quality: .good)
                try await writer.append(.history([row]), machine: 1)
            }
        }
        #expect(database.records == 0)
        database.faults.isDown = false
        try live(world.node("second life")) { _ in }
        return database
    }

    @Test("what a process had accepted lands once after its death, from a disk in memory")
    func durability() async throws {
        try await withTemporaryDirectory { directory in
            for seed in try TestSeed.several(3) {
                let place = "\(directory)/\(seed)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
                let world = World(seed: seed)
                let database = try story(world, in: place)
                #expect(world.end(), "seed \(seed)")
                #expect(database.records == 20 && database.landed.count == 20, "seed \(seed)")
                #expect(database.landed.values.allSatisfy { $0.rows == 1 }, "seed \(seed)")
            }
        }
    }

    @Test("the story goes the same way twice")
    func replay() async throws {
        let seed = TestSeed.draw()
        try await withTemporaryDirectory { directory in
            var lives = 0
            let isSame = try World.isDeterministic(seed: seed) { world in
                lives += 1
                let place = "\(directory)/\(lives)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
                try story(world, in: place)
            }
            #expect(isSame && lives == 2, "seed \(seed)")
        }
    }

    @Test("what breaks a promise of one's own stops the story, and says with which seed")
    func promise() throws {
        let world = World(seed: 42)
        let database = WorldDatabase(world)
        world.invariant("the database is there") { !database.faults.isDown }
        world.schedule(at: World.beginning + .seconds(3)) { database.faults.isDown = true }
        let error = try #require(throws: WorldError.self) { try world.run(for: .seconds(60)) }
        #expect(error.reason == .violated("the database is there") && error.seed == 42)
        #expect(error.at == World.beginning + .seconds(3))
        world.end()
    }

    @Test("as many seeds as ALD_SEEDS says, and what is no number is refused")
    func seeds() throws {
        #expect(try TestSeed.several(3, environment: [:]).count >= 3)
        #expect(try TestSeed.several(3, environment: ["ALD_SEEDS": "5"]).count == 5)
        for text in ["", "0", "-1", "many", "1e3", "1000001"] {
            let error = #expect(throws: TestSeed.VariableRefused.self) {
                try TestSeed.several(3, environment: ["ALD_SEEDS": text])
            }
            #expect(error?.description.contains("ALD_SEEDS is “\(text)”") == true)
        }
    }
}
