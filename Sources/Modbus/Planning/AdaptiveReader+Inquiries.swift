import NIOCore

extension AdaptiveReader {
    /// Draws conclusions from what was answered, and decides what to ask next.
    mutating func takeUp(_ cycle: inout ReadCycle, now: NIODeadline) {
        cycle.isFirst = false
        var before: Int
        repeat {
            // A size found too large settles others as well, also those looked at before.
            before = cycle.inquiries.count
            for inquiry in cycle.inquiries {
                cycle.inquiries.removeAll { $0.block == inquiry.block }
                if let open = advance(inquiry, &cycle, now: now) { cycle.inquiries.append(open) }
            }
        } while cycle.inquiries.count < before
        cycle.next = .empty
        guard !cycle.isBroken else { return }
        if cycle.pending.isEmpty, cycle.inquiries.isEmpty, !cycle.hasTried, cycle.hasTime(now: now) {
            cycle.hasTried = true
            if let block = limits.outdated(now: now) ?? search(now: now) ?? sample() { cycle.pending.append(block) }
        }
        // One at a time and the newest first: to get to the bottom of one refusal may settle all others.
        guard cycle.budget > 0, let question = cycle.pending.popLast() else { return }
        cycle.budget -= 1
        cycle.next = ReadPlan(requests: [PlannedRead(table: question.table, range: question.range, filler: 0)])
    }

    /// - Returns: the inquiry when it is still open.
    private mutating func advance(
        _ inquiry: ReadCycle.Inquiry, _ cycle: inout ReadCycle, now: NIODeadline
    ) -> ReadCycle.Inquiry? {
        var inquiry = inquiry
        let block = inquiry.block
        if limits.isTooLarge(block) {
            cycle.pending.removeAll { $0.table == block.table && block.range.contains($0.range) }
            readAgain(block, &cycle)
            return nil
        }
        if limits.isExplained(block) {
            // Its own parts are under way; when another request explained it, nobody has asked for them yet.
            if !inquiry.isSplit { readAgain(block, &cycle) }
            return nil
        }
        if cycle.hasCovered(block) {
            limits.blameSize(of: block, accepted: cycle.longest[block.table] ?? 0, now: now)
            return nil
        }
        if cycle.isPending(within: block) { return inquiry }
        guard let cut = cut(of: inquiry, cycle) else {
            // One value, refused, and others within it.
            readAgain(block, &cycle)
            return nil
        }
        if !inquiry.isSplit {
            inquiry.isSplit = true
            cycle.ask(ReadSpan(block.table, cut.left))
            cycle.ask(ReadSpan(block.table, cut.right))
            if cycle.isPending(within: block) { return inquiry }
        }
        // A part that could not be read for another reason leaves the question open until the refusal expires.
        guard let gap = cut.gap, !inquiry.askedForGap, cycle.hasCovered(ReadSpan(block.table, cut.left)),
            cycle.hasCovered(ReadSpan(block.table, cut.right))
        else { return nil }
        if cut.across == block.range {
            limits.blame(gap, for: block)
            return nil
        }
        inquiry.askedForGap = true
        cycle.ask(ReadSpan(block.table, cut.across))
        return inquiry
    }

    /// Asks for all values in `block` that the device may have, by what is known now.
    private func readAgain(_ block: ReadSpan, _ cycle: inout ReadCycle) {
        for read in makePlan(within: block).requests { cycle.ask(ReadSpan(read.table, read.range)) }
    }

    /// Where a refused block is divided.
    private struct Cut {
        var left: AddressRange
        var right: AddressRange
        /// What lies between; nil when the two touch or overlap.
        var gap: AddressRange?
        /// The shortest request from a value on the left to one on the right.
        var across: AddressRange
    }

    private func cut(of inquiry: ReadCycle.Inquiry, _ cycle: ReadCycle) -> Cut? {
        let block = inquiry.block
        let inside = spans(within: block)
        // Without those that lie in others, both starts and ends ascend.
        var outer: [AddressRange] = []
        for span in inside where span.end > outer.last?.end ?? 0 {
            if outer.last?.start == span.start { outer.removeLast() }
            outer.append(span)
        }
        guard outer.count > 1, let first = outer.first, let last = outer.last else { return nil }
        let middle = (Int(first.start) + last.end) / 2
        var best: (rank: (Int, Int), index: Int)?
        for index in outer.indices.dropLast() {
            let width = Int(outer[index + 1].start) - outer[index].end
            let isKnown =
                width <= 0
                || cycle.hasCovered(
                    ReadSpan(
                        block.table, AddressRange(first: UInt16(outer[index].end), last: outer[index + 1].start - 1)))
            let byWidth = inquiry.code != .illegalDataValue || inquiry.isSplit
            let rank = (byWidth && !isKnown ? width : 0, -abs(outer[index].end + width / 2 - middle))
            if best.map({ $0.rank < rank }) ?? true { best = (rank, index) }
        }
        guard let index = best?.index else { return nil }
        let (before, behind) = (outer[index], outer[index + 1])
        let width = Int(behind.start) - before.end
        let leftmost = inside.filter { $0.end <= Int(behind.start) }.map(\.start).max() ?? before.start
        let rightmost = inside.filter { Int($0.start) >= before.end }.map(\.last).min() ?? behind.last
        return Cut(
            left: AddressRange(first: first.start, last: before.last),
            right: AddressRange(first: behind.start, last: last.last),
            gap: width > 0 ? AddressRange(first: UInt16(before.end), last: behind.start - 1) : nil,
            across: AddressRange(first: leftmost, last: rightmost))
    }

    /// A request that tells more about the largest block: halfway between the longest answered and the shortest
    /// refused, as near as the values allow.
    private mutating func search(now: NIODeadline) -> ReadSpan? {
        for table in DataTable.allCases {
            guard let known = limits.tables[table], let tooLarge = known.tooLarge else { continue }
            if known.tooLargeUntil <= now {
                let block = longestRequest(of: table, cap: planner.limit(of: table))
                if let block, block.range.count > known.accepted { return block }
                limits.renewSize(of: table, now: now)
            }
            var low = max(known.accepted, known.floor)
            while tooLarge - low > 1 {
                let middle = (low + tooLarge) / 2
                let block = longestRequest(of: table, cap: middle)
                if let block, block.range.count > known.accepted { return block }
                low = middle
                limits.setFloor(low, of: table)
            }
        }
        return nil
    }

    /// A request of another size than the one before, while the plan alone does not tell what costs how much.
    private mutating func sample() -> ReadSpan? {
        guard followsCost, !isOutdated, !fit.isMeasured, samplesAsked < CostFit.fewest,
            let long = plan.requests.max(by: { $0.range.count < $1.range.count })
        else { return nil }
        samplesAsked += 1
        let block = ReadSpan(long.table, long.range)
        guard samplesAsked % 2 == 1,
            let short = spans(within: block).filter({ limits.refusal(of: ReadSpan(long.table, $0)) == nil })
                .min(by: { $0.count < $1.count })
        else { return block }
        return ReadSpan(long.table, short)
    }
}
