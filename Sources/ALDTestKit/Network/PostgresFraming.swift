/// Where in the bytes of one direction of a connection to PostgreSQL its messages begin (protocol 3.0, "Message Formats"):
/// a type, a length of four bytes that counts itself, and the rest. A value without I/O.
struct PostgresFraming: Sendable {
    struct Message: Hashable, Sendable {
        /// Among the bytes that were given.
        var offset: Int
        var type: UInt8
    }

    private enum State {
        /// A client's start-up packet, which has no type.
        case startup
        /// A server that has said nothing yet. To a question for encryption it answers with one byte.
        case greeting
        case type
        /// Bytes of the length so far, and how many.
        case length(UInt32, bytes: Int, isStartup: Bool)
        /// The first four bytes of a start-up packet say what it is; `left` bytes of it follow.
        case code(UInt32, bytes: Int, left: Int)
        case body(left: Int)
        /// Encrypted, or not PostgreSQL.
        case unknown
    }

    private var state: State

    /// What a server answers to a question for encryption, in one byte.
    static let encryptionAnswers = "NSG".utf8
    /// What its first message can be: authentication, an error, another version of the protocol.
    private static let greetings = "REv".utf8

    /// Whether it is a server that has said nothing yet.
    var isGreeting: Bool { if case .greeting = state { true } else { false } }

    init(_ direction: FaultProxy.Direction) {
        state = direction == .upstream ? .startup : .greeting
    }

    /// The messages that begin in these bytes.
    mutating func messages(in bytes: [UInt8]) -> [Message] {
        var messages: [Message] = []
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            switch state {
            case .startup:
                state = .length(UInt32(byte), bytes: 1, isStartup: true)
            case .greeting where byte == UInt8(ascii: "N"):
                // Not encrypted: what follows is as if nobody had asked.
                break
            case .greeting where byte == UInt8(ascii: "S") || byte == UInt8(ascii: "G"):
                state = .unknown
            case .greeting where !Self.greetings.contains(byte):
                state = .unknown
            case .greeting, .type:
                messages.append(Message(offset: index, type: byte))
                state = .length(0, bytes: 0, isStartup: false)
            case .length(let length, let count, let isStartup):
                let length = length << 8 | UInt32(byte)
                state =
                    count < 3
                    ? .length(length, bytes: count + 1, isStartup: isStartup)
                    : Self.after(length, isStartup)
            case .code(let code, let count, let left):
                let code = code << 8 | UInt32(byte)
                state = count < 3 ? .code(code, bytes: count + 1, left: left - 1) : Self.after(code, left: left - 1)
            case .body(let left):
                let step = min(left, bytes.count - index)
                state = step == left ? .type : .body(left: left - step)
                index += step - 1
            case .unknown:
                return messages
            }
            index += 1
        }
        return messages
    }

    private static func after(_ length: UInt32, _ isStartup: Bool) -> State {
        guard length >= 4, length < 1 << 30 else { return .unknown }
        if isStartup { return length >= 8 ? .code(0, bytes: 0, left: Int(length) - 4) : .unknown }
        return length == 4 ? .type : .body(left: Int(length) - 4)
    }

    /// Whoever asks for encryption (SSLRequest, GSSENCRequest) begins anew afterwards; a CancelRequest ends.
    private static func after(_ code: UInt32, left: Int) -> State {
        if code == 80_877_103 || code == 80_877_104 { return .startup }
        guard code >> 16 == 3 || code == 80_877_102 else { return .unknown }
        return left == 0 ? .type : .body(left: left)
    }
}
