import ALDCore
import Testing

@testable import ALDTestKit

/// How the number of parameters counts.
extension ControllerVerdictTests {
    @Test("a query that takes long, and one that nobody has timed, are found out", arguments: ControllerWay.allCases)
    func loadQuery(slow: ControllerWay) async throws {
        func judge(query: Duration, isTimed: Bool = true) async throws -> ScenarioResult {
            try await result(
                "PLC-PS-05",
                Work { run in
                    for way in ControllerWay.allCases {
                        run.note("\(way.rawValue): missing parameters", count: 0)
                        var times = LoadingTimes()
                        let began = MonotonicInstant(nanoseconds: 0)
                        let registered = began + .milliseconds(30)
                        let queried = registered + (way == slow ? query : .milliseconds(2))
                        if isTimed || way != slow {
                            times.add(
                                began: began, built: began + .milliseconds(10), registered: registered,
                                queried: queried, read: queried + .milliseconds(5))
                        }
                        times.note(run, way)
                    }
                })
        }
        let good = try await judge(query: .milliseconds(2))
        #expect(good.verdict == .pass, "\(good.reasons)")
        #expect(good.measurement("\(slow.rawValue): load query p95").map { abs($0 - 0.002) < 0.0001 } == true)
        #expect(good.measurement("\(slow.rawValue): loaded and read p95").map { abs($0 - 0.037) < 0.001 } == true)
        let late = try await judge(query: .seconds(1.1))
        #expect(broken(late) == ["load query p95", "loaded and read p95"])
        #expect(try await judge(query: .zero, isTimed: false).verdict == .unknown)
    }

    @Test("memory that grows faster than the number of parameters is found out, and not a look that met something else")
    func parameterMemory() async throws {
        func judge(_ bytes: (Int) -> Int, outlier: Int = 0) async throws -> ScenarioResult {
            var memory = ParameterMemory()
            for count in ParameterMemory.counts(upTo: 1000) {
                for look in 0..<3 {
                    memory.add(bytes(count) + (look == 1 && count == 1000 ? outlier : 0), parameters: count)
                }
            }
            return try await result(
                "PLC-PS-03",
                Work { [memory] run in
                    for way in ControllerWay.allCases {
                        run.note("\(way.rawValue): read all p95", .milliseconds(1))
                        run.note("\(way.rawValue): missing values", count: 0)
                    }
                    memory.note(run)
                })
        }
        let good = try await judge({ 50_000 + 900 * $0 }, outlier: 10_000_000)
        #expect(good.verdict == .pass, "\(good.reasons)")
        #expect(good.measurement("memory per parameter") == 900 && good.measurement("memory bend") == 1)
        let square = try await judge { 50_000 + $0 * $0 }
        #expect(square.verdict == .fail && broken(square) == ["memory bend"])
        #expect(square.measurement("memory bend") == 4)
        #expect(try await judge { _ in 0 }.verdict == .unknown, "where the allocator cannot be seen")
        #expect(ParameterMemory.counts(upTo: 7).isEmpty && ParameterMemory.counts(upTo: 100) == [12, 25, 50, 100])
    }
}
