/// How a batch lives on whose name is closed: in which parts, and under which names.
///
/// It is decided once, by whoever closes the name, and the ledger keeps it with the closed name. Everybody who has the
/// batch follows it: a process that was started anew, and the copy of a spool. So they all send the same parts under
/// the same names, and whichever of them comes first, each part lands once.
public struct BatchCut: Hashable, Sendable {
    public enum Way: Hashable, Sendable {
        /// In two halves: one of its records is bad, or it is too big.
        case halves
        /// Its only record becomes a dead letter.
        case deadLetter
        /// The record at this offset becomes a dead letter, what is before and behind it goes on.
        case around(Int)
        /// As it is under a new name: its own is closed, and nobody knows any more why.
        case again
        /// The readings of these parameters, which nobody has registered, wait by themselves; the others go on.
        case apart(Set<Int32>)
    }

    public var way: Way
    /// The name of the first part; the others are numbered after it.
    public var first: BatchID
    /// What becomes of the record that is refused, with why and when: the parts have to be the same whoever makes them.
    public var letter: DeadLetter?

    /// Names that a cut may need.
    static let mostParts: Int64 = 3

    /// The parts of batches are numbered under an origin that only they have. Somebody who follows a cut has some of
    /// its names and not those before them, so nobody ever promises to have forgotten names of such an origin.
    static func origin(of process: Int64) -> Int64 { -process }

    static func isOfParts(_ origin: Int64) -> Bool { origin < 0 }
}

/// What came of closing a batch's name.
public enum BatchClosing: Hashable, Sendable {
    /// No attempt can land it any more; its parts are these, which need not be those that were asked for.
    case closed(BatchCut)
    /// It had landed before, or was confirmed and forgotten.
    case landed
    /// The name is taken by other contents.
    case collision
}

extension BatchCut.Way {
    /// As the ledger keeps it.
    var text: String {
        switch self {
        case .halves: "halves"
        case .deadLetter: "letter"
        case .around(let row): "around \(row)"
        case .again: "again"
        case .apart(let parameters): "apart " + parameters.sorted().map(String.init).joined(separator: " ")
        }
    }

    /// `nil` when it is of a kind that this version does not know.
    init?(text: String) {
        let words = text.split(separator: " ")
        switch words.first {
        case "halves" where words.count == 1: self = .halves
        case "letter" where words.count == 1: self = .deadLetter
        case "again" where words.count == 1: self = .again
        case "around":
            guard words.count == 2, let row = Int(words[1]), row >= 0 else { return nil }
            self = .around(row)
        case "apart":
            let parameters = words.dropFirst().compactMap { Int32($0) }
            guard parameters.count == words.count - 1 else { return nil }
            self = .apart(Set(parameters))
        default: return nil
        }
    }

    /// The place of the record among `count` that becomes a dead letter.
    func letterRow(of count: Int) -> Int? {
        switch self {
        case .deadLetter: count == 1 ? 0 : nil
        case .around(let row): (0..<count).contains(row) ? row : nil
        case .halves, .again, .apart: nil
        }
    }
}
