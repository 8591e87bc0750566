import ALDCore
import Testing

@testable import ALDTestKit

/// What can have happened at a register is told from what cannot.
@Suite("Histories of a register")
struct RegisterHistoryTests {
    private typealias Problem = RegisterHistory.Problem

    /// Small histories, told in the order in which their operations begin and end.
    private struct Story {
        var history = RegisterHistory()
        private var begun: [String: Int] = [:]

        mutating func write() { history.writeEnded(history.writeBegins()) }
        mutating func begin(_ reader: String) { begun[reader] = history.readBegins() }
        mutating func end(_ reader: String, _ number: Int) {
            history.readEnded(number, begun: begun[reader] ?? 0)
        }
        mutating func read(_ number: Int) {
            begin("")
            end("", number)
        }
    }

    private func problems(_ tell: (inout Story) -> Void) -> [Problem] {
        var story = Story()
        tell(&story)
        return story.history.problems
    }

    @Test("what can have happened is no problem")
    func legal() {
        #expect(problems { _ in } == [])
        #expect(
            problems {
                $0.read(0)
                $0.write()
                $0.read(1)
                $0.read(1)
            } == [])
        // During a write some still see the old value, and others the new one already.
        #expect(
            problems {
                $0.begin("slow")
                let write = $0.history.writeBegins()
                $0.begin("quick")
                $0.end("quick", 1)
                $0.end("slow", 0)
                $0.history.writeEnded(write)
                $0.read(1)
            } == [])
        // Of two writes at the same time either may be the last.
        for last in 1...2 {
            #expect(
                problems {
                    let first = $0.history.writeBegins()
                    let second = $0.history.writeBegins()
                    $0.history.writeEnded(second)
                    $0.history.writeEnded(first)
                    $0.read(last)
                    $0.read(last)
                } == [])
        }
        // A write that failed happened long afterwards, or never.
        #expect(
            problems {
                let failed = $0.history.writeBegins()
                $0.write()
                $0.read(2)
                $0.read(failed)
                $0.read(failed)
            } == [])
        #expect(
            problems {
                _ = $0.history.writeBegins()
                $0.read(0)
                $0.write()
                $0.read(2)
            } == [])
    }

    @Test("what nobody has written, or not yet, is found out")
    func unwritten() {
        #expect(problems { $0.read(1) } == [.unwritten(1)])
        #expect(problems { $0.read(-1) } == [.unwritten(-1)])
        #expect(
            problems {
                $0.read(1)
                $0.write()
            } == [.unwritten(1)])
    }

    @Test("what is there while another one comes and goes is found out")
    func stale() {
        // A read that began when the write had ended, and one by somebody who had seen the new value.
        #expect(
            problems {
                $0.write()
                $0.read(0)
            } == [.around(0, 1)])
        #expect(
            problems {
                let write = $0.history.writeBegins()
                $0.read(1)
                $0.read(0)
                $0.history.writeEnded(write)
            } == [.around(0, 1)])
        // A write whose effect is lost.
        #expect(
            problems {
                $0.write()
                $0.read(1)
                $0.write()
                $0.read(1)
                $0.write()
                $0.read(3)
            } == [.around(1, 2)])
        // One that failed cannot have happened before it was tried.
        #expect(
            problems {
                $0.write()
                _ = $0.history.writeBegins()
                $0.read(2)
                $0.read(1)
            } == [.around(1, 2)])
    }

    @Test("two that were there at the same time are found out")
    func together() {
        #expect(
            problems {
                let first = $0.history.writeBegins()
                let second = $0.history.writeBegins()
                $0.history.writeEnded(first)
                $0.history.writeEnded(second)
                $0.read(2)
                $0.read(1)
                $0.read(2)
                $0.read(1)
            } == [.together(1, 2)])
    }

    // MARK: Every order there is

    /// A history by chance, with its operations, of which some say what cannot be.
    private struct RandomHistory {
        struct Operation {
            var isWrite: Bool
            /// `-1`: not known yet.
            var number = -1
            var begin: Int
            /// Of a write that failed it stays open.
            var end = Int.max
        }

        private(set) var operations: [Operation] = []
        private(set) var history = RegisterHistory()

        init(seed: UInt64) {
            var random = SeededGenerator(seed: seed)
            let (count, lies) = (Int.random(in: 2...8, using: &random), Bool.random(using: &random))
            var (clock, register) = (0, 0)
            /// Those that are under way, what they began with, and what they have seen or written.
            var open: [(place: Int, token: Int, done: Int?)] = []
            while operations.count < count || !open.isEmpty {
                clock += 1
                if operations.count < count, open.count < 4, open.isEmpty || Bool.random(using: &random) {
                    let isWrite = Bool.random(using: &random)
                    let token = isWrite ? history.writeBegins() : history.readBegins()
                    operations.append(Operation(isWrite: isWrite, number: isWrite ? token : -1, begin: clock))
                    open.append((operations.count - 1, token, nil))
                    continue
                }
                let turn = Int.random(in: open.indices, using: &random)
                let (place, token, done) = open[turn]
                let isWrite = operations[place].isWrite
                if isWrite, Int.random(in: 0..<8, using: &random) == 0 {
                    open.remove(at: turn)
                } else if let done {
                    open.remove(at: turn)
                    operations[place].end = clock
                    if isWrite {
                        history.writeEnded(token)
                    } else {
                        let isLie = lies && Int.random(in: 0..<3, using: &random) == 0
                        operations[place].number = isLie ? Int.random(in: 0...4, using: &random) : done
                        history.readEnded(operations[place].number, begun: token)
                    }
                } else {
                    if isWrite { register = token }
                    open[turn].done = register
                }
            }
        }

        /// Whether there is an order in which all of them can have happened one after the other.
        var canHaveHappened: Bool {
            var tried: Set<[Int]> = []
            func search(_ done: Int, _ register: Int) -> Bool {
                guard tried.insert([done, register]).inserted else { return false }
                let left = operations.indices.filter { done & 1 << $0 == 0 }
                // What never ended need not have happened.
                guard let firstEnd = left.map({ operations[$0].end }).min(), firstEnd < .max else { return true }
                return left.contains { place in
                    let operation = operations[place]
                    guard operation.begin < firstEnd, operation.isWrite || operation.number == register else {
                        return false
                    }
                    return search(done | 1 << place, operation.number)
                }
            }
            return search(0, 0)
        }
    }

    @Test("thousands of small histories are judged as the search through all orders judges them")
    func everyOrder() {
        let first = TestSeed.draw()
        var (possible, kinds) = (0, [0, 0, 0])
        for seed in first..<first + 6000 {
            let random = RandomHistory(seed: seed)
            let problems = random.history.problems
            #expect(
                problems.isEmpty == random.canHaveHappened, "seed \(seed): \(problems) of \(random.operations)")
            possible += problems.isEmpty ? 1 : 0
            for problem in problems {
                switch problem {
                case .unwritten: kinds[0] += 1
                case .together: kinds[1] += 1
                case .around: kinds[2] += 1
                }
            }
        }
        #expect(possible > 1000 && possible < 5500 && kinds.allSatisfy { $0 > 10 }, "\(possible), \(kinds)")
    }

    // MARK: Values

    @Test("each number has a value of its own, and its halves tell it from all others")
    func values() throws {
        let capacity = NumberedValue.capacity
        var (upper, lower): (Set<UInt32>, Set<UInt32>) = ([], [])
        for number in 0..<capacity {
            let bits = NumberedValue.bits(of: number)
            upper.insert(bits >> 16)
            lower.insert(bits & 0xFFFF)
            let value = NumberedValue.value(of: number)
            #expect(NumberedValue.range.contains(value) && Float(value).bitPattern == bits && value.isNormal)
            #expect(try NumberedValue.number(of: value, upTo: number) == number)
        }
        #expect(upper.count == capacity && lower.count == capacity)
        let torn = Float(bitPattern: NumberedValue.bits(of: 7) & 0xFFFF_0000 | NumberedValue.bits(of: 8) & 0xFFFF)
        #expect(throws: NumberedValue.Problem.torn(upper: 7, lower: 8)) {
            try NumberedValue.number(of: Double(torn), upTo: 8)
        }
        for value in [0, -1, 4, 1.0 / 64 + 1e-12, .nan, .infinity] {
            #expect(throws: NumberedValue.Problem.self, "\(value)") { try NumberedValue.number(of: value, upTo: 9) }
        }
    }

    @Test("numbers whose values come again are told apart, however many are written")
    func again() throws {
        let capacity = NumberedValue.capacity
        for (number, last) in [
            (0, 0), (capacity, capacity), (capacity - 1, capacity), (capacity + 1, capacity + 1),
            (3 * capacity - 1, 3 * capacity), (2 * capacity + 1, 3 * capacity), (5, 4),
        ] {
            #expect(try NumberedValue.number(of: NumberedValue.value(of: number), upTo: last) == number)
        }
    }

    @Test("what is read together must have been written together")
    func judge() async throws {
        struct Planted: Error {}
        let judge = RegisterJudge([ParameterID(rawValue: 1), ParameterID(rawValue: 2)])
        let read = judge.readBegins()
        try await judge.write { #expect($0 == NumberedValue.value(of: 1)) }
        await #expect(throws: Planted.self) { try await judge.write { _ in throw Planted() } }
        let values = (0...2).map { NumberedValue.value(of: $0) }
        judge.ended(read, [values[0], values[0]])
        judge.ended(judge.readBegins(), [values[1], values[1]])
        judge.ended(judge.readBegins(), [values[2], values[2]])
        #expect(judge.problems == [] && judge.valuesRead == 3 && judge.overlappingWrites == 0)
        judge.ended(judge.readBegins(), [values[1], values[2]])
        judge.ended(judge.readBegins(), [])
        judge.ended(judge.readBegins(), [4, 4])
        #expect(
            judge.problems == [
                "parts of [1, 2] were read together", "parts of [] were read together",
                "4.0 was read, which nobody has written",
            ])
        judge.ended(judge.readBegins(), [values[1]])
        #expect(judge.problems.last == "1 was there before and after 2")
        try await judge.write { _ in try await judge.write { _ in } }
        #expect(judge.overlappingWrites == 1)
    }
}
