public import Modbus

/// What has to be about to pass, in the words of a connection's own protocol, for the connection to end there.
///
/// Nobody has to tell which protocol that is: what is none of a trigger's own never pulls it.
public enum FaultTrigger: Hashable, Sendable {
    /// A message of PostgreSQL with this type, such as `UInt8(ascii: "C")`. A client's start-up packets have no type.
    case postgres(message: UInt8)
    /// An ADU of Modbus TCP with this function, whichever unit it is for. An exception response has another one, with the
    /// highest bit set: a refusal of function 06 is 0x86.
    case modbus(function: FunctionCode)

    /// What is counted when the connection has ended there.
    var fault: ProxyFault {
        switch self {
        case .postgres: .message
        case .modbus: .function
        }
    }
}

/// Looks for triggers in the bytes of one direction, of every protocol from the first byte on: a trigger may be set when
/// half of a message has passed. A value without I/O.
struct TriggerFraming: Sendable {
    private var postgres: PostgresFraming
    private var modbus = MBAPFraming()
    /// The last bytes were one of PostgreSQL's, by itself: whoever has asked waits for it before he says more.
    private var isEncryptionAnswer = false

    init(_ direction: FaultProxy.Direction) {
        postgres = PostgresFraming(direction)
    }

    /// Where what pulls the trigger begins, the first of these bytes being 0; negative when it began before them.
    mutating func begin(of trigger: FaultTrigger?, in bytes: [UInt8]) -> Int? {
        isEncryptionAnswer =
            postgres.isGreeting && bytes.count == 1 && PostgresFraming.encryptionAnswers.contains(bytes[0])
        let messages = postgres.messages(in: bytes)
        let units = modbus.units(in: bytes)
        return switch trigger {
        case .postgres(let type): messages.first { $0.type == type }?.offset
        case .modbus(let function): units.first { $0.function == function }?.offset
        case nil: nil
        }
    }

    /// How many of the bytes that came last may turn out to be the beginning of what pulls the trigger.
    func undecided(_ trigger: FaultTrigger?) -> Int {
        switch trigger {
        case .modbus: isEncryptionAnswer ? 0 : modbus.undecided
        // A message begins with its type.
        case .postgres, nil: 0
        }
    }
}
