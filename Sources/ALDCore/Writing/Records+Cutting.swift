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

    var areDeadLetters: Bool {
        if case .deadLetters = self { true } else { false }
    }

    /// The parts in which they live on, none of them empty.
    ///
    /// - Parameter letter: makes a dead letter of the one record at that place.
    func cut(_ cut: WriterLane.Cut, letter: (Records, _ row: Int) -> DeadLetter) -> [Records] {
        let half = count / 2
        let parts: [Records] =
            switch cut {
            case .again: [self]
            case .apart(let strangers): apart(strangers)
            case .halves: [self[0..<half], self[half..<count]]
            case .deadLetter: count == 1 ? [.deadLetters([letter(self, 0)])] : [self]
            case .around(let row) where (0..<count).contains(row):
                [
                    self[0..<row], .deadLetters([letter(self[row..<row + 1], row)]), self[row + 1..<count],
                ]
            case .around: [self]
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
