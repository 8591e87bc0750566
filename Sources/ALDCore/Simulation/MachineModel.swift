#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// How the simulated machine's values move: a pure function of time, set points and a seed.
///
/// The model advances in steps of ``step``, however often it is read, so a machine that is polled ten times a second
/// behaves like one that is polled once. A value with a set point covers 10 % of its distance per second with noise of
/// ±0.5 % of its range; without one it wanders by ±1 % of its range per second. Switches and everything else whose
/// range is at most 1 do not fluctuate.
struct MachineModel: Sendable {
    /// The length of one step of the simulation.
    static let step: Duration = .milliseconds(100)
    /// After a pause the model catches up at most this many steps (one hour); beyond that it would only burn time.
    static let maximumStepsAtOnce: Int64 = 36_000

    private struct Variable {
        var current: Double
        var setPoint: Double?
        let range: ClosedRange<Double>
        let fluctuates: Bool
    }

    private var variables: [Variable]
    private var random: SeededGenerator
    private var steppedUntil: MonotonicInstant

    // One second has this many steps; the factors below make them add up to the figures per second above.
    private static let stepsPerSecond = 1 / step.inSeconds
    private static let approach = 1 - pow(0.9, 1 / stepsPerSecond)
    private static let noiseScale = (1 / stepsPerSecond).squareRoot()

    init(parameters: [Parameter], seed: UInt64, now: MonotonicInstant) {
        random = SeededGenerator(seed: seed)
        steppedUntil = now
        variables = parameters.map { parameter in
            Variable(
                current: parameter.initialValue,
                setPoint: parameter.isWritable ? parameter.initialValue : nil,
                range: parameter.range,
                fluctuates: parameter.dataType != .binary
                    && parameter.range.upperBound - parameter.range.lowerBound > 1)
        }
    }

    /// The measured value of the parameter at `index`, as of the last step.
    func value(at index: Int) -> Double { variables[index].current }

    /// The set point of the parameter at `index`; `nil` for one that has none.
    func setPoint(at index: Int) -> Double? { variables[index].setPoint }

    /// Writes a set point. What does not fluctuate (a switch, a valve) follows at once, the rest with time.
    mutating func write(_ value: Double, at index: Int) {
        variables[index].setPoint = value
        if !variables[index].fluctuates { variables[index].current = value }
    }

    /// Lets the machine run until `now`.
    mutating func advance(to now: MonotonicInstant) {
        let due = (now - steppedUntil).wholeNanoseconds / Self.step.wholeNanoseconds
        guard due > 0 else { return }
        for _ in 0..<min(due, Self.maximumStepsAtOnce) { takeStep() }
        steppedUntil = steppedUntil + .nanoseconds(due * Self.step.wholeNanoseconds)
    }

    private mutating func takeStep() {
        for index in variables.indices where variables[index].fluctuates {
            let range = variables[index].range
            let span = (range.upperBound - range.lowerBound) * Self.noiseScale
            var current = variables[index].current
            if let setPoint = variables[index].setPoint {
                current +=
                    Self.approach * (setPoint - current) + Double.random(in: -0.005...0.005, using: &random) * span
            } else {
                current += Double.random(in: -0.01...0.01, using: &random) * span
            }
            variables[index].current = min(max(current, range.lowerBound), range.upperBound)
        }
    }
}
