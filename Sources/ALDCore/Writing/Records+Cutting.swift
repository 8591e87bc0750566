extension Records {
    /// Those in `range`, which must be within.
    subscript(range: Range<Int>) -> Records {
        switch self {
        case .history(let rows): .history(Array(rows[range]))
        case .gaps(let gaps): .gaps(Array(gaps[range]))
        case .processEvents(let events): .processEvents(Array(events[range]))
        case .deadLetters(let letters): .deadLetters(Array(letters[range]))
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
}
