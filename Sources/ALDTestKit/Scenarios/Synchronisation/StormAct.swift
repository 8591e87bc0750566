import ALDCore

/// What one of a crowd does next, drawn by chance: what the terminals of a plant do, all together.
enum StormAct: Hashable, Sendable {
    /// One batch of so many records.
    case batch(NumberedRecords.Kind, records: Int)
    /// Two batches in one delivery. Somebody else delivers the same two, if he can at the same time, the other way round.
    case pair(NumberedRecords.Kind, records: Int)
    /// So many commands of one machine are asked for, as many are taken and ended.
    case commands(Int)

    /// Mostly a few readings: they begin with any parameter and are not of all, so each batch has others than the next.
    static func next(using random: inout SeededGenerator) -> StormAct {
        let few = Int.random(in: 3...17, using: &random)
        return switch Int.random(in: 0..<32, using: &random) {
        case 0: .batch(.history, records: PostgresSink.copiedRows)
        case 1...3: .batch(.gaps, records: few)
        case 4...7: .batch(.events, records: few)
        case 8...9: .pair(.history, records: few)
        case 10...11: .pair(.events, records: few)
        case 12...15: .commands(1 + few / 4)
        default: .batch(.history, records: few)
        }
    }

    /// One that needs the ledger: whoever locks it can have a whole crowd wait in the middle of a transaction.
    static func landing(using random: inout SeededGenerator) -> StormAct {
        let kind = [NumberedRecords.Kind.history, .history, .gaps, .events].randomElement(using: &random)
        return .batch(kind ?? .history, records: Int.random(in: 3...17, using: &random))
    }
}

extension Records {
    /// The same in another order: no two writers change the same things in the same one.
    func shuffled(using random: inout SeededGenerator) -> Records {
        switch self {
        case .history(let rows): .history(rows.shuffled(using: &random))
        case .gaps(let gaps): .gaps(gaps.shuffled(using: &random))
        case .processEvents(let events): .processEvents(events.shuffled(using: &random))
        case .deadLetters, .unregistered: self
        }
    }
}
