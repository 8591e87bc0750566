import ALDCore
import Testing

@testable import ALDTestKit

/// A plant of which the writer has a bug is found out, also where as many records are there as there should be.
@Suite("The terminals in virtual time") struct VirtualPlantTests {
    private struct BuggySink: ForwardingSink {
        enum Bug {
            /// Loses the last record of every fifth batch.
            case dropsTheTail
            /// Writes every fifth batch once more under a name of its own.
            case writesAgain
            /// Both, so that as many records are there as were accepted.
            case both
        }

        let sink: any BatchSink
        let bug: Bug

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            var batches = batches
            var again: [Batch] = []
            for (place, batch) in batches.enumerated() where batch.id.number % 5 == 0 {
                guard case .history(let rows) = batch.records, rows.count > 1 else { continue }
                if bug != .dropsTheTail {
                    var copy = batch
                    copy.id.number += 1 << 40
                    if bug == .both { copy.records = .history([rows[0]]) }
                    again.append(copy)
                }
                if bug != .writesAgain { batches[place].records = .history(rows.dropLast()) }
            }
            let landings = try await sink.deliver(batches, deadline: deadline)
            if !again.isEmpty { _ = try await sink.deliver(again, deadline: deadline) }
            return landings
        }
    }

    /// Three minutes of a plant at its work.
    private func account(around: (any BatchSink) -> any BatchSink = { $0 }) async throws -> PlantAccount {
        try await withTemporaryDirectory { directory in
            var load = VirtualPlant.Load()
            (load.parameters, load.command, load.recipe) = (10, .seconds(5), .seconds(30))
            var plant = try VirtualPlant(load, directory: directory, seed: 1, around: around) { _ in TestDatabase.quiet
            }
            plant.begin()
            try plant.pass(.seconds(180))
            let settled = try plant.settle(within: .seconds(60))
            let problems = try plant.end()
            #expect(settled != nil && problems == [])
            return plant.account
        }
    }

    @Test("a plant whose writer loses a reading, writes some again, or both, so that the sum is right")
    func plant() async throws {
        let good = try await account()
        #expect(good.lostOrDoubled == 0 && good.cycles > 170 && good.accepted > good.collected)
        #expect(good.commands > 30 && good.commandEnds["succeeded"] == good.commands)
        #expect(good.recipes > 4 && good.recipeEnds["completed"] == good.recipes)
        let lost = try await account { BuggySink(sink: $0, bug: .dropsTheTail) }
        #expect(lost.lostOrDoubled > 10 && lost.repeated == 0)
        let again = try await account { BuggySink(sink: $0, bug: .writesAgain) }
        #expect(again.repeated > 10 && again.accepted == again.landed)
        let both = try await account { BuggySink(sink: $0, bug: .both) }
        #expect(both.repeated > 10 && both.accepted == both.landed + both.repeated && both.lostOrDoubled > 0)
    }

    @Test("a reading, an event and a gap that come again are told by their places; what has waited is none of them")
    func order() {
        var order = RecordOrder()
        func time(_ second: Int64) -> Timestamp { Timestamp(microseconds: second * 1_000_000) }
        func rows(_ seconds: Int64...) -> Records {
            .history(
                seconds.flatMap { second in
                    [1, 2].map {
                        HistoryRow(parameter: ParameterID(rawValue: $0), time: time(second), value: 1, quality: .good)
                    }
                })
        }
        func events(_ process: Int64, _ numbers: Int64...) -> Records {
            .processEvents(numbers.map { ProcessEvent(process: process, number: $0, time: time(0), kind: .note) })
        }
        func gap(_ range: ClosedRange<Int64>) -> Records {
            .gaps([
                CollectionGap(
                    firstMissedAt: time(range.lowerBound), lastMissedAt: time(range.upperBound), instants: 1,
                    cause: .plc, detail: "")
            ])
        }
        func again(_ records: Records) -> Int { order.repetitions(in: records) }
        #expect(again(rows(1, 2)) == 0)
        #expect(again(rows(3)) == 0)
        #expect(again(rows(3, 4)) == 2)
        #expect(again(rows(1)) == 0)
        #expect(again(rows(4)) == 2)
        #expect(again(events(1, 1, 2)) == 0)
        #expect(again(events(1, 2, 3)) == 1)
        #expect(again(events(2, 1)) == 0)
        #expect(again(events(1, 3)) == 0)
        #expect(again(events(2, 1)) == 1)
        #expect(again(gap(1...2)) == 0)
        #expect(again(gap(3...3)) == 0)
        #expect(again(gap(3...4)) == 1)
    }
}
