extension Records {
    /// Those in `range`, which must be within.
    subscript(range: Range<Int>) -> Records {
        switch self {
        case .history(let rows): .history(Array(rows[range]))
        case .gaps(let gaps): .gaps(Array(gaps[range]))
        case .processEvents(let events): .processEvents(Array(events[range]))
        case .deadLetters(let letters): .deadLetters(Array(letters[range]))
        case .unregistered(let rows): .unregistered(Array(rows[range]))
        }
    }

    /// The parts in which they live on, none of them empty; they follow from `cut` alone.
    func parts(of cut: BatchCut) -> [Records] {
        if let row = cut.way.letterRow(of: count) {
            // Without a letter nothing is known of why: it is tried once more.
            guard let letter = cut.letter else { return [self] }
            return [self[0..<row], .deadLetters([letter]), self[row + 1..<count]].filter { $0.count > 0 }
        }
        let half = count / 2
        let parts: [Records] =
            switch cut.way {
            case .again, .deadLetter, .around: [self]
            case .apart(let strangers): apart(strangers)
            case .halves: [self[0..<half], self[half..<count]]
            }
        return parts.filter { $0.count > 0 }
    }

    /// The readings of these parameters by themselves, and before them those that need not wait for anybody.
    private func apart(_ strangers: Set<Int32>) -> [Records] {
        guard let readings else { return [self] }
        return [
            .history(readings.filter { !strangers.contains($0.parameter.rawValue) }),
            .unregistered(readings.filter { strangers.contains($0.parameter.rawValue) }),
        ]
    }
}
