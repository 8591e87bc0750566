/// How a value lies in one or more consecutive registers. The specification knows 16-bit registers and nothing else;
/// all of this is the device's manual.
///
/// ```swift
/// let format = RegisterFormat(.float32, wordOrder: .cdab)
/// let value = try format.decode(data.registers)      // .number(123456), nil for "no value"
/// let words = try format.encode(.number(123456))     // [0x2000, 0x47F1]
/// ```
public struct RegisterFormat: Hashable, Sendable {
    /// What the registers hold.
    public enum Kind: Hashable, Sendable {
        /// Integers of one, two or four registers; the signed ones in two's complement.
        case uint16, int16, uint32, int32, uint64, int64
        #if !(arch(x86_64) && (os(macOS) || targetEnvironment(macCatalyst)))
            /// IEEE 754 with 16 bits, on platforms that have it.
            case float16
        #endif
        /// IEEE 754 with 32 or 64 bits.
        case float32, float64
        /// Four or eight decimal digits of four bits each.
        case bcd16, bcd32
        /// One bit of one register, 0 (the lowest) to 15.
        case bit(Int)
        /// Characters in 1…125 registers.
        case text(RegisterText)
    }

    /// `value = raw × factor + offset`.
    public struct Scaling: Hashable, Sendable {
        /// Finite and not 0.
        public var factor: Double
        /// Finite, in the unit of the value. Defaults to 0.
        public var offset: Double

        public init(factor: Double, offset: Double = 0) {
            self.factor = factor
            self.offset = offset
        }
    }

    /// What the registers hold.
    public var kind: Kind
    /// In which order the bytes of a value of two or four registers come. Means nothing to one register, a bit and a
    /// text. Defaults to high word and high byte first.
    public var wordOrder: WordOrder
    /// How the number in the registers becomes the value; only for numbers. Nil leaves it as it is. Defaults to nil.
    public var scaling: Scaling?
    /// Bits that mean "no value", such as 8000 or FFFF, as an unsigned number of the format's size. NaN always means
    /// "no value". Only for numbers. Defaults to none.
    public var sentinels: [UInt64]

    public init(
        _ kind: Kind, wordOrder: WordOrder = .abcd, scaling: Scaling? = nil, sentinels: [UInt64] = []
    ) {
        self.kind = kind
        self.wordOrder = wordOrder
        self.scaling = scaling
        self.sentinels = sentinels
    }

    /// How many registers a value takes.
    public var registerCount: Int {
        switch kind {
        case .uint16, .int16, .bcd16, .bit: return 1
        #if !(arch(x86_64) && (os(macOS) || targetEnvironment(macCatalyst)))
            case .float16: return 1
        #endif
        case .uint32, .int32, .float32, .bcd32: return 2
        case .uint64, .int64, .float64: return 4
        case .text(let text): return text.registers
        }
    }

    /// Every problem of the format, in words; empty when it can be used.
    public func validate() -> [String] {
        var problems: [String] = []
        switch kind {
        case .bit(let position) where !(0...15).contains(position):
            problems.append("bit \(position); a register has 0 to 15")
        case .text(let text) where !(1...ModbusLimits.maximumReadRegisters).contains(text.registers):
            problems.append("a text of \(text.registers) registers; one read brings 1 to 125")
        default: break
        }
        if let scaling, !scaling.factor.isFinite || scaling.factor == 0 || !scaling.offset.isFinite {
            problems.append("the factor must be finite and not 0, the offset finite")
        }
        switch kind {
        case .bit, .text:
            if scaling != nil || !sentinels.isEmpty { problems.append("only numbers have a scaling and sentinels") }
        default:
            let bits = 16 * registerCount
            for sentinel in sentinels where bits < 64 && sentinel >> UInt64(bits) != 0 {
                problems.append("sentinel 0x\(String(sentinel, radix: 16)) has more than \(bits) bits")
            }
        }
        return problems
    }
}
