/// Learns what a device's reads cost from how long they took: least squares over (registers, round trip), where
/// older samples count less and less.
///
/// Feed it only with requests that waited behind no other, or the queue is measured instead.
///
/// * Too few samples, or all of one size: the two shares cannot be told apart. The proportion between them stays what
///   it was last known to be, scaled to the round trips seen.
/// * Once both shares are known, a sample further from the prediction than a quarter of it and four times the usual
///   deviation is set aside. Eight of the last sixteen are no accident but a changed link: the fit starts anew with
///   all that came since the first of them.
/// * Neither share is ever negative: one that would be is zero, and the other explains the samples alone.
public struct CostFit: Sendable {
    /// The share of the past that the next sample leaves in place: about the last fifty samples count.
    static let memory = 0.98
    /// Samples before a fit is believed.
    static let fewest = 8
    /// Samples set aside that make a new beginning, when they are among the last twice as many.
    static let rebellion = 8
    /// The smallest variance of the request sizes, in registers², that tells the two shares apart.
    static let smallestVariance = 16.0

    private struct Sample: Sendable {
        var registers: Double
        var seconds: Double
    }

    /// The cost as now known.
    public private(set) var cost: ReadCost
    /// Samples that went into the fit, since the beginning.
    public private(set) var samples = 0
    /// Samples set aside, since the beginning; those of a changed link among them.
    public private(set) var outliers = 0
    /// Whether both shares were measured; otherwise their proportion is an assumption.
    public private(set) var isMeasured = false

    private var weight = 0.0
    private var registers = 0.0
    private var seconds = 0.0
    private var squares = 0.0
    private var products = 0.0
    /// The usual distance from the prediction, in seconds.
    private var deviation = 0.0
    /// The latest samples, no more than twice ``rebellion``.
    private var latest: [(sample: Sample, isStrange: Bool)] = []
    /// Samples since the last new beginning.
    private var recent = 0
    /// Whether the samples since then tell the shares apart.
    private var isSolved = false

    /// - Parameter prior: what is believed before anything was measured. Defaults to 10 ms a request and 0.1 ms a
    ///   register: with gaps up to 100, nearly as few requests as possible.
    public init(prior: ReadCost = ReadCost(perRequest: .milliseconds(10), perRegister: .microseconds(100))) {
        cost = prior
    }

    /// How many registers of filler are worth a saved request, 0…125.
    public var breakEvenGap: Int { cost.breakEvenGap }

    /// One request of `range` in `table` was answered with data after `roundTrip`. Ignored when that is not within
    /// 0…1 min.
    public mutating func add(_ table: DataTable, _ range: AddressRange, roundTrip: Duration) {
        guard roundTrip > .zero, roundTrip <= .seconds(60), range.count <= table.maximumReadCount else { return }
        let sample = Sample(
            registers: Double(range.count) / (table.isBits ? 16 : 1), seconds: roundTrip / .seconds(1))
        let isStrange = isStrange(sample)
        latest.append((sample, isStrange))
        if latest.count > 2 * Self.rebellion { latest.removeFirst() }
        if !isStrange {
            accept(sample)
        } else if latest.count(where: \.isStrange) < Self.rebellion {
            outliers += 1
            return
        } else {
            startAnew()
        }
        solve()
    }

    private func predicted(_ sample: Sample) -> Double {
        cost.perRequest / .seconds(1) + sample.registers * (cost.perRegister / .seconds(1))
    }

    private func isStrange(_ sample: Sample) -> Bool {
        guard isSolved else { return false }
        let expected = predicted(sample)
        return abs(sample.seconds - expected) > max(4 * deviation, expected / 4)
    }

    private mutating func startAnew() {
        let fresh = latest.drop { !$0.isStrange }
        latest = []
        (weight, registers, seconds, squares, products, deviation, recent) = (0, 0, 0, 0, 0, 0, 0)
        isSolved = false
        for (sample, _) in fresh { accept(sample) }
    }

    private mutating func accept(_ sample: Sample) {
        if isSolved {
            deviation = Self.memory * deviation + (1 - Self.memory) * abs(sample.seconds - predicted(sample))
        }
        samples += 1
        recent += 1
        weight = Self.memory * weight + 1
        registers = Self.memory * registers + sample.registers
        seconds = Self.memory * seconds + sample.seconds
        squares = Self.memory * squares + sample.registers * sample.registers
        products = Self.memory * products + sample.registers * sample.seconds
    }

    private mutating func solve() {
        let meanSize = registers / weight
        let meanTime = seconds / weight
        let variance = squares / weight - meanSize * meanSize
        isSolved = recent >= Self.fewest && variance >= Self.smallestVariance
        guard isSolved else {
            scale(toSize: meanSize, time: meanTime)
            return
        }
        isMeasured = true
        let slope = (products / weight - meanSize * meanTime) / variance
        if slope <= 0 {
            set(perRequest: meanTime, perRegister: 0)
        } else if meanTime <= slope * meanSize {
            set(perRequest: 0, perRegister: products / squares)
        } else {
            set(perRequest: meanTime - slope * meanSize, perRegister: slope)
        }
    }

    private mutating func scale(toSize size: Double, time: Double) {
        let request = cost.perRequest / .seconds(1)
        let register = cost.perRegister / .seconds(1)
        let known = request + register * size
        if known > 0 {
            set(perRequest: request * time / known, perRegister: register * time / known)
        } else {
            set(perRequest: time, perRegister: 0)
        }
    }

    private mutating func set(perRequest: Double, perRegister: Double) {
        cost = ReadCost(perRequest: .seconds(perRequest), perRegister: .seconds(perRegister))
    }
}
