/// Judges what readers of a set point saw while one writer counted it up: a register must look as if each read and each
/// write had happened at one instant between its beginning and its end (linearizability, for one writer).
struct RegisterHistory: Sendable {
    /// So many numbers in a row can be told apart; then their values come again. What is read is taken for the newest
    /// number that it may be, so an older value passes only if it is older by exactly so many writes: minutes.
    static let capacity = 1600

    /// What is written for a number: small steps, exact in single precision, so that many fit into a parameter's range.
    static func value(of number: Int) -> Double { Double(number % capacity) / 32 }

    /// The last write that has begun, and the last that has ended: an older value is not read any more.
    private var begun = 0
    private(set) var ended = 0
    private(set) var problems: [String] = []
    private var seen: [Int: Int] = [:]

    mutating func writeBegins(_ number: Int) { begun = number }
    mutating func writeEnded(_ number: Int) { ended = number }

    /// - Parameter floor: ``ended`` when the read began.
    mutating func readEnded(_ value: Double, by reader: Int, floor: Int) {
        guard let number = newest(of: value) else {
            return problems.append("\(value) was read, which nobody has written")
        }
        if number < floor { problems.append("\(number) was read after \(floor) had been written") }
        if number < seen[reader, default: 0] {
            problems.append("\(number) was read by one who had seen \(seen[reader, default: 0])")
        }
        seen[reader] = max(number, seen[reader, default: 0])
    }

    /// The last number for which this value was written; `nil`: there is none.
    private func newest(of value: Double) -> Int? {
        guard let place = Int(exactly: value * 32), (0..<Self.capacity).contains(place) else { return nil }
        let (round, rest) = begun.quotientAndRemainder(dividingBy: Self.capacity)
        let number = (place <= rest ? round : round - 1) * Self.capacity + place
        return number < 0 ? nil : number
    }
}
