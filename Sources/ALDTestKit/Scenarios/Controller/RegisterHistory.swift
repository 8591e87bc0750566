/// Judges what several have written into one register, and what several have read there: each operation must look as if
/// it had happened at one instant between its beginning and its end (linearizability). That nobody who has seen a value
/// sees an older one afterwards is a part of it.
///
/// Each write has a value of its own, told by a number, and then the zones of the values decide (Gibbons and Korach,
/// "Testing Shared Memories", SIAM Journal on Computing 26, 1997). A value of which one operation has ended before
/// another one began had to be there all the time between; any other, at some instant between the last beginning and
/// the first end.
struct RegisterHistory: Sendable {
    enum Problem: Hashable, Sendable, CustomStringConvertible {
        /// Read before its write had begun.
        case unwritten(Int)
        /// Two that both had to be there at the same moment.
        case together(Int, Int)
        /// One that was there all the time while another came and went.
        case around(Int, Int)

        var description: String {
            switch self {
            case .unwritten(let number): "\(number) was read, which nobody has written"
            case .together(let first, let second): "\(first) and \(second) were there at the same time"
            case .around(let outer, let inner): "\(outer) was there before and after \(inner)"
            }
        }
    }

    /// The operations on one value.
    private struct Zone {
        var number: Int
        /// The first end of one of them; a write whose end is not known may happen at any time.
        var firstEnd = Int.max
        var lastBegin: Int
        var wasRead = false

        var bounds: (lower: Int, upper: Int) { (min(firstEnd, lastBegin), max(firstEnd, lastBegin)) }
        /// Whether the value had to be there for the whole of it, rather than at an instant of it.
        var isForward: Bool { firstEnd < lastBegin }
    }

    /// Counts beginnings and ends, so that no two of them are at the same instant.
    private var clock = 0
    /// By number. The first is what was there before anybody wrote.
    private var zones = [Zone(number: 0, firstEnd: 0, lastBegin: 0)]
    private var unwritten: [Int] = []

    /// The last number whose write has begun.
    var last: Int { zones.count - 1 }
    /// How many values have been read.
    var valuesRead: Int { zones.count { $0.wasRead } }

    /// - Returns: the number that is written; the first one is 1.
    mutating func writeBegins() -> Int {
        clock += 1
        zones.append(Zone(number: zones.count, lastBegin: clock))
        return last
    }

    /// Not to be called for a write that failed: whatever it says, it may have happened, or happen yet.
    mutating func writeEnded(_ number: Int) {
        clock += 1
        zones[number].firstEnd = min(zones[number].firstEnd, clock)
    }

    /// - Returns: when it began.
    mutating func readBegins() -> Int {
        clock += 1
        return clock
    }

    /// A read that fails has seen nothing, and need not be told.
    mutating func readEnded(_ number: Int, begun: Int) {
        clock += 1
        guard zones.indices.contains(number) else { return unwritten.append(number) }
        zones[number].firstEnd = min(zones[number].firstEnd, clock)
        zones[number].lastBegin = max(zones[number].lastBegin, begun)
        zones[number].wasRead = true
    }

    /// Empty exactly when the operations can have happened one after the other.
    var problems: [Problem] {
        var problems = unwritten.map(Problem.unwritten)
        // Of the values that had to be there for a while, and began to be so far, the one that stays longest.
        var longest: Zone?
        for zone in zones.sorted(by: { $0.bounds.lower < $1.bounds.lower }) {
            if let longest, zone.bounds.lower < longest.bounds.upper {
                if zone.isForward {
                    problems.append(.together(longest.number, zone.number))
                } else if zone.bounds.upper < longest.bounds.upper {
                    problems.append(.around(longest.number, zone.number))
                }
            }
            if zone.isForward, zone.bounds.upper > longest?.bounds.upper ?? -1 { longest = zone }
        }
        return problems
    }
}
