import ALDCore
import Synchronization

/// A set point under watch, or several that are always written together: what is written and read goes into their
/// history.
final class RegisterJudge: Sendable {
    let parameters: [ParameterID]
    private let account = Mutex(Account())

    private struct Account {
        var history = RegisterHistory()
        var problems: [String] = []
        /// Writes that have begun and not ended, and those that began while there were some.
        var (underWay, overlapping) = (0, 0)
    }

    /// A read that is under way.
    struct Read: Sendable {
        fileprivate var begun: Int
    }

    /// - Parameter parameters: they hold the value of number 0.
    init(_ parameters: [ParameterID]) {
        self.parameters = parameters
    }

    var problems: [String] { account.withLock { $0.problems + $0.history.problems.map(\.description) } }
    /// How many different values have been read.
    var valuesRead: Int { account.withLock(\.history.valuesRead) }
    /// How many writes began while another one was under way.
    var overlappingWrites: Int { account.withLock(\.overlapping) }

    /// Has a value of its own written. One that fails may have been, now or later.
    func write(_ operation: (Double) async throws -> Void) async throws {
        let number = account.withLock { account in
            if account.underWay > 0 { account.overlapping += 1 }
            account.underWay += 1
            return account.history.writeBegins()
        }
        defer { account.withLock { $0.underWay -= 1 } }
        try await operation(NumberedValue.value(of: number))
        account.withLock { $0.history.writeEnded(number) }
    }

    func readBegins() -> Read { Read(begun: account.withLock { $0.history.readBegins() }) }

    /// - Parameter values: those of one of the set points, or of several as one answer has shown them.
    func ended(_ read: Read, _ values: [Double]) {
        account.withLock { account in
            do throws(NumberedValue.Problem) {
                var numbers: Set<Int> = []
                for value in values {
                    numbers.insert(try NumberedValue.number(of: value, upTo: account.history.last))
                }
                guard let number = numbers.first, numbers.count == 1 else {
                    return account.problems.append("parts of \(numbers.sorted()) were read together")
                }
                account.history.readEnded(number, begun: read.begun)
            } catch {
                account.problems.append("\(error)")
            }
        }
    }
}
