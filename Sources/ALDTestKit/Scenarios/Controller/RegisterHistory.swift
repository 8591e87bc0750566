/// Judges what readers of a set point saw while one writer counted it up: a register must look as if each read and each
/// write had happened at one instant between its beginning and its end (linearizability, for one writer).
struct RegisterHistory: Sendable {
    /// So many numbers can be told apart; the writer stops there.
    static let capacity = 1600

    /// What is written for a number: small steps, exact in single precision, so that many fit into a parameter's range.
    static func value(of number: Int) -> Double { Double(number) / 32 }

    /// The last write that has begun, and the last that has ended: an older value is not read any more.
    private var begun = 0
    private(set) var ended = 0
    private(set) var problems: [String] = []
    private var seen: [Int: Int] = [:]

    mutating func writeBegins(_ number: Int) { begun = number }
    mutating func writeEnded(_ number: Int) { ended = number }

    /// - Parameter floor: ``ended`` when the read began.
    mutating func readEnded(_ value: Double, by reader: Int, floor: Int) {
        guard let number = Int(exactly: value * 32), (0...begun).contains(number) else {
            return problems.append("\(value) was read, which nobody has written")
        }
        if number < floor { problems.append("\(number) was read after \(floor) had been written") }
        if number < seen[reader, default: 0] {
            problems.append("\(number) was read by one who had seen \(seen[reader, default: 0])")
        }
        seen[reader] = max(number, seen[reader, default: 0])
    }
}
