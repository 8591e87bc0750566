import ArgumentParser
import Modbus

/// What registers mean, by the name people type.
enum ValueType: String, CaseIterable, ExpressibleByArgument {
    case uint16, int16, uint32, int32, uint64, int64, float32, float64, bcd16, bcd32

    private var kind: RegisterFormat.Kind {
        switch self {
        case .uint16: .uint16
        case .int16: .int16
        case .uint32: .uint32
        case .int32: .int32
        case .uint64: .uint64
        case .int64: .int64
        case .float32: .float32
        case .float64: .float64
        case .bcd16: .bcd16
        case .bcd32: .bcd32
        }
    }

    /// How many registers one value takes.
    var registers: Int { RegisterFormat(kind).registerCount }

    /// The value that `words` hold, exactly as many as this type takes.
    func decode(_ words: ArraySlice<UInt16>, order: WordOrder) -> Value {
        do throws(RegisterValueError) {
            let value = try RegisterFormat(kind, wordOrder: order).decode(words)
            return value.map { Value.known($0, isSingle: self == .float32) } ?? .nan
        } catch {
            return .invalid
        }
    }

    /// The values of a block; registers left over at its end are none.
    func decode(block words: [UInt16], order: WordOrder) -> [Value] {
        stride(from: 0, through: words.count - registers, by: registers).map {
            decode(words[$0..<($0 + registers)], order: order)
        }
    }

    /// The registers that hold the value written as `text`; `nil` when this type cannot hold it.
    func encode(_ text: String, order: WordOrder) -> [UInt16]? {
        let value: RegisterValue?
        switch self {
        case .float32, .float64: value = Double(text).map { .number($0) }
        case .int16, .int32, .int64: value = Address.parse(text, as: Int64.self).map { .signed($0) }
        case .uint16, .uint32, .uint64, .bcd16, .bcd32:
            value = Address.parse(text, as: UInt64.self).map { .unsigned($0) }
        }
        guard let value else { return nil }
        do throws(RegisterValueError) {
            return try RegisterFormat(kind, wordOrder: order).encode(value)
        } catch {
            return nil
        }
    }
}

/// A number as it was decoded, shown without losing a digit.
enum Value: Hashable, Sendable {
    /// `isSingle`: of 32 bits, and so with fewer digits that mean something.
    case known(RegisterValue, isSingle: Bool)
    /// A floating-point format's "no number".
    case nan
    /// The registers hold nothing that the type allows.
    case invalid

    /// For extremes; exact below 2^53.
    var approximate: Double? {
        if case .known(let value, _) = self { value.double } else { nil }
    }
}

extension Value: CustomStringConvertible {
    var description: String {
        switch self {
        case .known(.number(let value), isSingle: true): "\(Float(value))"
        case .known(.number(let value), isSingle: false): "\(value)"
        case .known(.signed(let value), _): "\(value)"
        case .known(.unsigned(let value), _): "\(value)"
        case .known(.bit(let value), _): value ? "1" : "0"
        case .known(.text(let value), _): value
        case .nan: "nan"
        case .invalid: "invalid"
        }
    }
}

extension Value: Encodable {
    /// JSON has no infinity and no NaN: they become null, and so does what is invalid.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .known(.number(let value), let isSingle) where value.isFinite:
            if isSingle { try container.encode(Float(value)) } else { try container.encode(value) }
        case .known(.signed(let value), _): try container.encode(value)
        case .known(.unsigned(let value), _): try container.encode(value)
        case .known(.bit(let value), _): try container.encode(value)
        case .known(.text(let value), _): try container.encode(value)
        case .known(.number, _), .nan, .invalid: try container.encodeNil()
        }
    }
}
