import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// A spool in a process of its own that is killed, or whose disk fails.
@Suite("Spool: killed processes and failing disks", .serialized, .timeLimit(.minutes(30)))
struct SpoolProcessTests {
    private typealias Fixture = SpoolFixture

    /// What the process was promised, by parameter.
    private func accepted(_ output: [String]) -> [Int32: BatchID] {
        var accepted: [Int32: BatchID] = [:]
        for line in output where line.hasPrefix("accepted ") {
            let words = line.split(separator: " ")
            guard words.count == 4, let parameter = Int32(words[1]), let origin = Int64(words[2]),
                let number = Int64(words[3])
            else { continue }
            accepted[parameter] = BatchID(origin: origin, number: number)
        }
        return accepted
    }

    private func exercise(
        _ directory: String, _ arguments: [String] = [], faults: [String: String] = [:],
        _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws -> ChildResult {
        var environment: [String: String?] = faults.mapValues { .some($0) }
        if !faults.isEmpty { environment["ALD_FAULT_DIRECTORY"] = directory }
        return try await ChildProcess.run(
            try Executables.ald(), ["exercise-spool", directory] + arguments, environment: environment,
            endsWithin: .seconds(60), body)
    }

    /// Compiles the library that makes a disk fail.
    private func withFaults(_ body: (String) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let library = directory + "/disk-faults.so"
            let source = Repository.root + "/Fixtures/Spool/disk-faults.c"
            let compiler = try await ChildProcess.run(
                "/usr/bin/cc", ["-shared", "-fPIC", "-O1", "-o", library, source])
            try #require(compiler.exitCode == 0, "\(compiler.transcript)")
            try await body(library)
        }
    }

    /// Everything that was promised is there once, and nothing else.
    ///
    /// - Parameter unpromised: how many batches may be there that nobody was told of.
    private func check(_ directory: String, _ promised: [Int32: BatchID], seed: UInt64, _ story: String) async throws {
        let spool = try Fixture.open(directory, seed: seed)
        let waiting = try await Fixture.all(spool)
        let retained = try await spool.retained()
        let ids = waiting.map(\.header.id) + retained.map(\.id)
        #expect(Set(ids).count == ids.count, "\(story): a name is there twice")
        let known = Set(ids)
        for (parameter, id) in promised where !known.contains(id) {
            Issue.record("\(story): \(parameter), promised as \(id), is gone; losses \(try await spool.losses())")
        }
        var seen: [Int32: BatchID] = [:]
        for stored in waiting {
            guard case .history(let rows) = try stored.batch().records else { continue }
            for parameter in Set(rows.map(\.parameter.rawValue)) {
                #expect(
                    seen.updateValue(stored.header.id, forKey: parameter) == nil,
                    "\(story): \(parameter) is there twice")
                if let id = promised[parameter] { #expect(id == stored.header.id, "\(story)") }
            }
            for (parameter, count) in Dictionary(grouping: rows, by: \.parameter.rawValue).mapValues(\.count) {
                #expect(count == 20, "\(story): \(parameter) has \(count) rows")
            }
        }
        #expect(try await spool.losses().allSatisfy { !$0.isCertain }, "\(story)")
        #expect(try await spool.recount() == spool.contents && spool.account.isBalanced, "\(story)")
        try spool.close()
    }

    @Test("whenever the process is killed, what it was promised is there, once")
    func kills() async throws {
        var random = SeededGenerator(seed: TestSeed.draw())
        try await withTemporaryDirectory { directory in
            var promised: [Int32: BatchID] = [:]
            let rounds = Gate.rounds(50, nominal: 1000)
            for round in 0..<rounds {
                let patience = Int.random(in: 1...60, using: &random)
                let result = try await exercise(
                    directory,
                    ["--first", "\(round * 100_000 + 1)", "--callers", "\(1 + round % 6)"]
                        + (round % 2 == 0 ? ["--confirms"] : [])
                ) { child in
                    try await eventually("\(patience) accepted") { child.output.count >= patience }
                    child.send(SIGKILL)
                }
                #expect(result.signal == SIGKILL, "\(result.transcript.suffix(500))")
                promised.merge(accepted(result.output)) { $1 }
                // Looking is as expensive as a run: in between the next process finds what the last one left.
                if round % 5 == 4 || round == rounds - 1 {
                    try await check(directory, promised, seed: UInt64(round), "round \(round)")
                }
            }
            #expect(promised.count > rounds)
        }
    }

    @Test(
        "a process that dies in the middle of a write has kept every promise",
        arguments: [5, 12, 23, 60, 111, 204, 333])
    func tornWrite(write: Int) async throws {
        try await withFaults { library in
            try await withTemporaryDirectory { directory in
                let result = try await exercise(
                    directory, faults: ["LD_PRELOAD": library, "ALD_FAULT_TORN": "\(write)"])
                #expect(result.signal == SIGKILL)
                try await check(directory, accepted(result.output), seed: 9, "write \(write)")
            }
        }
    }

    @Test(
        "a sync that fails is never tried again: everything moves to a new file, and no caller notices",
        arguments: [8, 9, 13, 40])
    func failedSync(sync: Int) async throws {
        try await withFaults { library in
            try await withTemporaryDirectory { directory in
                let result = try await exercise(
                    directory, ["--appends", "200"], faults: ["LD_PRELOAD": library, "ALD_FAULT_SYNC": "\(sync)"])
                #expect(result.exitCode == 0, "\(result.transcript.suffix(500))")
                #expect(
                    !result.output.contains { $0.hasPrefix("refused") },
                    "\(result.output.filter { $0.hasPrefix("refused") })")
                let promised = accepted(result.output)
                #expect(promised.count == 200)
                #expect(result.output.last == "done \(Set(promised.values).count) balanced")
                try await check(directory, promised, seed: 9, "sync \(sync)")
            }
        }
    }

    @Test(
        "a disk that is full refuses, and goes on as soon as batches are confirmed",
        arguments: [400_000, 700_000, 1_000_000])
    func fullDisk(capacity: Int) async throws {
        try await withFaults { library in
            try await withTemporaryDirectory { directory in
                let result = try await exercise(
                    directory, ["--appends", "2500", "--callers", "8"],
                    faults: ["LD_PRELOAD": library, "ALD_FAULT_CAPACITY": "\(capacity)"])
                #expect(result.exitCode == 0, "\(result.transcript.suffix(500))")
                let refusals = result.output.filter { $0.hasPrefix("refused") }
                #expect(
                    !refusals.isEmpty && refusals.allSatisfy { $0.hasSuffix(" full") },
                    "\(Set(refusals.map { $0.split(separator: " ").last }))")
                // It is not stuck: after the first refusal much more was accepted than before.
                let firstRefusal = result.output.firstIndex { $0.hasPrefix("refused") } ?? 0
                let after = accepted(Array(result.output[firstRefusal...])).count
                #expect(after > 100, "\(after) after, \(firstRefusal) before")
                #expect(result.output.last?.hasSuffix(" balanced") == true)
                let spool = try Fixture.open(directory, seed: 9)
                let waiting = Set(try await Fixture.all(spool).map(\.header.id))
                #expect(result.output.last == "done \(waiting.count) balanced")
                #expect(waiting.isSubset(of: accepted(result.output).values))
                let losses = try await spool.losses()
                #expect(losses.isEmpty)
                try spool.close()
            }
        }
    }

    @Test("whenever the power fails, whatever of the unsynced writes survives, what was promised is there")
    func powerFailure() async throws {
        var random = SeededGenerator(seed: TestSeed.draw())
        try await withFaults { library in
            try await withTemporaryDirectory { directory in
                let live = directory + "/live"
                try FileManager.default.createDirectory(atPath: live, withIntermediateDirectories: false)
                let record = directory + "/record"
                let result = try await exercise(
                    live, ["--appends", "300", "--callers", "3"],
                    faults: ["LD_PRELOAD": library, "ALD_FAULT_RECORD": record])
                #expect(result.exitCode == 0, "\(result.transcript.suffix(500))")
                let events = try DiskRecord.read(record, directory: live)
                try #require(events.count > 500)
                for round in 0..<Gate.rounds(60, nominal: 2000) {
                    let cut = Int.random(in: 1...events.count, using: &random)
                    let copy = directory + "/copy"
                    let output = try DiskRecord.play(events.prefix(cut), into: copy, random: &random)
                    try await check(copy, accepted(output), seed: UInt64(round) + 2, "power off after event \(cut)")
                    try FileManager.default.removeItem(atPath: copy)
                }
            }
        }
    }
}
