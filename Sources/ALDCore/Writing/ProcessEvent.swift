/// One row of `process_events`: something that a terminal did in a process, or that happened to the process.
///
/// It is recorded as readings are: accepted once it is on disk, whether the database is there or not, and landed once.
/// The events of a process are in the order of their times, and of their numbers where times are the same: a terminal
/// takes both from one source that never goes back while it runs.
public struct ProcessEvent: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// The process has another status; the text is the status.
        case state
        /// Somebody asked something of the process; the text says who and what.
        case request
        case stepBegan = "step_began"
        case stepCompleted = "step_completed"
        /// A step was left before its end; the text is the reason.
        case stepBroken = "step_broken"
        /// A valve was open.
        case pulse
        /// A set point was written and confirmed.
        case set
        /// A set point was read back.
        case verified
        /// An output could not be written; the text is the reason.
        case trouble
        /// An output was brought into its safe state.
        case secured
        /// Anything else that people should read.
        case note
    }

    /// Number of the process.
    public var process: Int64
    /// Counts the events of the process from 1, anew when another terminal takes over.
    public var number: Int64
    public var time: Timestamp
    public var kind: Kind
    /// The step of the recipe, from 1; `nil` for what belongs to none.
    public var step: Int32?
    /// Which iteration of each loop around the step, outermost first, from 1.
    public var iterations: [Int32]
    /// For people.
    public var text: String
    /// A JSON object, see ``json(_:)``.
    public private(set) var values: String

    public init(
        process: Int64, number: Int64, time: Timestamp, kind: Kind, step: Int32? = nil, iterations: [Int32] = [],
        text: String = "", values: [String: Value] = [:]
    ) {
        self.init(
            process: process, number: number, time: time, kind: kind, step: step, iterations: iterations, text: text,
            json: Self.json(values))
    }

    /// - Parameter json: a JSON object. What is none is refused by the database and becomes a dead letter.
    init(
        process: Int64, number: Int64, time: Timestamp, kind: Kind, step: Int32?, iterations: [Int32], text: String,
        json: String
    ) {
        self.process = process
        self.number = number
        self.time = time
        self.kind = kind
        self.step = step
        self.iterations = iterations
        self.text = text.storable
        values = json
    }

    /// What an event says beside its text.
    public enum Value: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
        ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral
    {
        case text(String)
        case integer(Int64)
        /// A number that JSON does not know, for instance infinity, is written as text.
        case number(Double)
        case flag(Bool)

        public init(stringLiteral value: String) { self = .text(value) }
        public init(booleanLiteral value: Bool) { self = .flag(value) }
        public init(floatLiteral value: Double) { self = .number(value) }
        public init(integerLiteral value: Int64) { self = .integer(value) }

        fileprivate func write(to json: inout JSONText) {
            switch self {
            case .text(let text): json.add(text: text.storable)
            case .integer(let number): json.add(number)
            case .number(let number): if number.isFinite { json.add(number) } else { json.add(text: "\(number)") }
            case .flag(let flag): json.add(flag)
            }
        }
    }

    /// On one line, keys in order, so that the same values are the same bytes.
    static func json(_ values: [String: Value]) -> String {
        if values.isEmpty { return "{}" }
        let clean = Dictionary(values.map { ($0.key.storable, $0.value) }) { $1 }
        var json = JSONText()
        var separator: StaticString = "{"
        for (key, value) in clean.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            json.add(separator)
            json.add(text: key)
            json.add(":")
            value.write(to: &json)
            separator = ","
        }
        json.add("}")
        return String(decoding: json.utf8, as: UTF8.self)
    }
}
