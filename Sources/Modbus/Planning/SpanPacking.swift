/// What a request costs: first by what the goal counts, ties by the second number.
struct Price: Hashable, Sendable {
    /// Sums and compares like a number of two digits.
    struct Cost: Comparable, Hashable, Sendable {
        var major: Int
        var minor: Int

        static let zero = Cost(major: 0, minor: 0)

        static func < (left: Cost, right: Cost) -> Bool {
            (left.major, left.minor) < (right.major, right.minor)
        }

        static func + (left: Cost, right: Cost) -> Cost {
            Cost(major: left.major + right.major, minor: left.minor + right.minor)
        }
    }

    private let perRequest: Cost
    private let perAddress: Cost

    /// Fewest requests: (1, 0) a request and (0, 1) an address. Minimum time: sixteenths of a nanosecond, so that a
    /// bit is a whole number, and among equal times the fewer requests.
    init(_ goal: ReadPlanner.Goal, bits: Bool) {
        switch goal {
        case .fewestRequests:
            perRequest = Cost(major: 1, minor: 0)
            perAddress = Cost(major: 0, minor: 1)
        case .minimumTime(let request, let register):
            perRequest = Cost(major: 16 * Self.nanoseconds(request), minor: 1)
            perAddress = Cost(major: (bits ? 1 : 16) * Self.nanoseconds(register), minor: 0)
        }
    }

    func of(_ count: Int) -> Cost {
        Cost(
            major: perRequest.major + count * perAddress.major, minor: perRequest.minor + count * perAddress.minor)
    }

    private static func nanoseconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        return Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
    }
}

/// Cuts the spans of one table into requests by an exact dynamic programme.
///
/// Sorted by their start, the spans of a best plan's request are always neighbours: if one between them went
/// elsewhere, either it or those behind it could move over without making any request longer. So only cuts between
/// neighbours need to be tried: `best[j] = min over i ≤ j of best[i-1] + price(i…j)`.
struct SpanPacking {
    let table: DataTable
    let limit: Int
    let allowsHoles: Bool
    let reach: Reach
    let price: Price

    private struct Choice {
        /// Nil when no request can end there.
        var cost: Price.Cost?
        /// The first span of the last request.
        var first: Int
        /// The last address of the last request.
        var last: UInt16
    }

    func cut(_ ranges: [AddressRange]) -> [PlannedRead] {
        let spans = Array(Set(ranges)).sorted { ($0.start, $0.count) < ($1.start, $1.count) }
        // best[j]: the cheapest way to read the first j spans; best[0] reads none.
        var best = [Choice](repeating: Choice(cost: nil, first: 0, last: 0), count: spans.count + 1)
        best[0].cost = .zero
        for first in spans.indices {
            guard let before = best[first].cost else { continue }
            extend(from: first, cost: before, spans: spans, best: &best)
        }
        return requests(spans, best)
    }

    /// Tries every request that begins with span `first`.
    private func extend(from first: Int, cost: Price.Cost, spans: [AddressRange], best: inout [Choice]) {
        let start = Int(spans[first].start)
        let farthest = min(start + limit, reach.end(from: spans[first].start))
        var end = start
        for next in first..<spans.count {
            let span = spans[next]
            if !allowsHoles, next > first, Int(span.start) > end { return }
            end = max(end, span.end)
            guard end <= farthest else { return }
            let total = cost + price.of(end - start)
            if let known = best[next + 1].cost, known <= total { continue }
            best[next + 1] = Choice(cost: total, first: first, last: UInt16(end - 1))
        }
    }

    private func requests(_ spans: [AddressRange], _ best: [Choice]) -> [PlannedRead] {
        var reads: [PlannedRead] = []
        var end = spans.count
        while end > 0 {
            let choice = best[end]
            let range = AddressRange(first: spans[choice.first].start, last: choice.last)
            let wanted = Self.covered(spans[choice.first..<end])
            reads.append(PlannedRead(table: table, range: range, filler: range.count - wanted))
            end = choice.first
        }
        return reads.reversed()
    }

    /// How many addresses the spans, sorted by start, cover together.
    private static func covered(_ spans: ArraySlice<AddressRange>) -> Int {
        var total = 0
        var reached = 0
        for span in spans {
            total += max(0, span.end - max(reached, Int(span.start)))
            reached = max(reached, span.end)
        }
        return total
    }
}
