import ALDCore
import Foundation
import Testing

@testable import ALDTestKit

@Suite("What a machine cannot do") struct UnavailableTests {
    private struct Lacking: ScenarioWork {
        var lack: Unavailable

        func run(_ run: ScenarioRun) async throws {
            run.note("measured", count: 1)
            throw lack
        }
    }

    @Test("makes a scenario unknown, with the reason, whatever was measured")
    func unknown() async throws {
        let lack = Unavailable(.kernel, "no netem here", remedy: "use another kernel")
        let scenario = Scenario(
            "X", "x", requirement: "", nominal: .zero, short: .zero,
            criteria: [Criterion("measured", .exactly, 1), Criterion("never measured", .exactly, 1)],
            work: Lacking(lack: lack))
        let host = ScenarioHost()
        let result = await ScenarioRunner(host: host).run(scenario)
        try await host.stop()
        #expect(result.verdict == .unknown && result.unavailable == lack)
        #expect(result.reasons == ["no netem here; use another kernel"])
        let copy = try JSONDecoder().decode(ScenarioResult.self, from: try JSONEncoder().encode(result))
        #expect(copy == result)
    }

    @Test("excuses a test, but in the gate no program that is not installed")
    func excuses() {
        let isGate = ProcessInfo.processInfo.environment["CI"] != nil
        #expect(Unavailable(.privilege, "", remedy: "").excusesTests)
        #expect(Unavailable(.program, "", remedy: "").excusesTests != isGate)
    }

    @Test(
        "a small disk is full at its size, is filled by others, and is gone",
        .enabled(if: Gate.mayUseRoot && geteuid() == 0, "needs root"))
    func smallDisk() async throws {
        var path = ""
        do {
            try await SmallDisk.run(bytes: 1 << 20) { disk in
                path = disk.path
                let whole = try disk.freeBytes
                #expect(whole > 0 && whole <= 1 << 20)
                #expect(throws: (any Error).self) {
                    try Data(count: 2 << 20).write(to: URL(fileURLWithPath: path + "/much"))
                }
                try FileManager.default.removeItem(atPath: path + "/much")
                try await disk.filled {
                    let left = try disk.freeBytes
                    #expect(left == 0)
                    #expect(throws: (any Error).self) {
                        try Data(count: 8192).write(to: URL(fileURLWithPath: path + "/little"))
                    }
                }
                // A process that is being spawned in this moment has every open file until it becomes another program.
                try await eventually("the space is free again") { try disk.freeBytes > whole / 2 }
            }
        } catch let lacking as Unavailable {
            // A container that lets root mount nothing.
            #expect(lacking.kind == .privilege)
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}
