/// How the simulated machine's values move: a pure function of time, set points and a seed.
///
/// Time goes in steps of ``step``. Between two writes every quantity follows a ``Motion`` whose value in any step is
/// computed directly, and noise is a function of the step: so reading changes nothing, whoever polls ten times a second
/// sees at the common instants what somebody else sees once a second, and a read costs what it reads.
///
/// * A value with a set point covers 10 % of its distance per second. Its noise is ±0.5 % of its range on the way and
///   ±1 % at the set point. There is none in the first step, when the machine has just been switched on.
/// * A value without set point wanders about its initial value, by at most 1 % of its range per second.
/// * What does not fluctuate (``MachineRole/fluctuates(_:)``) takes a written value at once and has no noise.
/// * A **heater** follows its set point; switched off it cools towards its initial value. Its **output** is what a
///   controller applies: proportional to the error, plus what holds the temperature; 0 when switched off.
/// * A **mass flow** follows its set point; switched off it falls to the lower end of its range.
/// * Every **gauge** sees the one chamber: gas comes in through flows, open process valves and the purge, and a pump
///   that runs behind an open gate takes it out, down to the map's initial value. Noise is ±1 % of the reading.
/// * A **ready** signal comes ``readyDelay`` after its component was switched on.
///
/// Register maps say that all switches are off at first, and people write set points without a thought for them: a
/// heater or flow counts as switched off only after its switch was written off.
struct MachineModel: Sendable {
    /// The length of one step of the simulation.
    static let step: Duration = .milliseconds(100)
    /// Steps from power to ready: 10 seconds.
    static let readyDelay: Int64 = 100

    /// What is left of a distance after a step, if it is 90 % after ten: the tenth root of 0.9.
    private static let approach = 0.9895192582062144
    /// How much faster a heater could heat than it does: the error counts this much in its output.
    private static let heaterGain = 3.0
    /// The share of the chamber's gas that a pump takes out per second.
    private static let pumpingSpeed = 1.0
    /// What comes in, in the gauge's unit per second: for each unit of flow, through an open process valve, by purging.
    private static let (inflowPerFlow, inflowPerValve, inflowByPurge) = (1.0, 20.0, 200.0)

    private struct Variable {
        var motion: Motion
        var setPoint: Double?
        /// Whether anybody has written it since the machine was switched on.
        var wasWritten = false
        let initial: Double
        let range: ClosedRange<Double>
        let fluctuates: Bool
        let noiseKey: UInt64
        /// Where the wander begins, so that it begins at the initial value.
        let wanderOrigin: Double

        var span: Double { range.upperBound - range.lowerBound }
    }

    private let layout: MachineLayout
    private let start: MonotonicInstant
    private var variables: [Variable]
    /// Told of every set point that is written, with the index of its parameter.
    var onWrite: (@Sendable (Int, Double) -> Void)?

    init(parameters: [Parameter], seed: UInt64, now: MonotonicInstant) {
        layout = MachineLayout(parameters)
        start = now
        variables = parameters.enumerated().map { index, parameter in
            let key = MachineNoise.key(seed: seed, index: index)
            return Variable(
                motion: .resting(at: parameter.initialValue),
                setPoint: parameter.isWritable ? parameter.initialValue : nil, initial: parameter.initialValue,
                range: parameter.range, fluctuates: MachineRole.fluctuates(parameter), noiseKey: key,
                wanderOrigin: MachineNoise.wander(key, 0))
        }
    }

    /// The number of the step that `now` lies in, counted from when the machine was switched on.
    func step(at now: MonotonicInstant) -> Int64 {
        max(0, (now - start).wholeNanoseconds / Self.step.wholeNanoseconds)
    }

    // MARK: Reading

    /// The set point of the parameter at `index`, exactly; `nil` for one that has none.
    func setPoint(at index: Int) -> Double? { variables[index].setPoint }

    /// The measured value of the parameter at `index`, in its range.
    func value(at index: Int, step: Int64) -> Double {
        let variable = variables[index]
        return min(max(reading(index, variable, step), variable.range.lowerBound), variable.range.upperBound)
    }

    private func reading(_ index: Int, _ variable: Variable, _ step: Int64) -> Double {
        switch layout.roles[index] {
        case .ready: return isReady(index, step) ? 1 : 0
        case .heaterOutput: return output(index, step)
        case .gauge:
            let noise = step == 0 ? 0 : MachineNoise.white(variable.noiseKey, step)
            return variable.motion.value(at: step) * (1 + 0.01 * noise)
        case .heater, .massFlow, .pump, .gateValve, .processValve, .purge, .power, .other:
            guard variable.fluctuates else { return variable.motion.target }
            guard variable.setPoint != nil else {
                let wander = MachineNoise.wander(variable.noiseKey, step) - variable.wanderOrigin
                return variable.initial + wander * variable.span
            }
            let value = variable.motion.value(at: step)
            guard step > 0 else { return value }
            let share = abs(value - variable.motion.target) > 0.01 * variable.span ? 0.005 : 0.01
            return value + share * variable.span * MachineNoise.white(variable.noiseKey, step)
        }
    }

    private func isReady(_ index: Int, _ step: Int64) -> Bool {
        guard let power = layout.partners[index], isOn(power) else { return false }
        return step - variables[power].motion.since >= Self.readyDelay
    }

    /// In the range of the output, whose upper end is full power.
    private func output(_ index: Int, _ step: Int64) -> Double {
        let full = variables[index].range.upperBound
        guard let heater = layout.partners[index], let setPoint = variables[heater].setPoint,
            !isSwitchedOff(heater)
        else { return 0 }
        let (ambient, hottest) = (variables[heater].initial, variables[heater].range.upperBound)
        guard hottest > ambient else { return 0 }
        let temperature = value(at: heater, step: step)
        let demand = (temperature - ambient) + Self.heaterGain * (setPoint - temperature)
        return full * min(max(demand / (hottest - ambient), 0), 1)
    }

    // MARK: Writing

    /// Writes a set point. What does not fluctuate (a switch, a valve) follows at once, the rest with time.
    mutating func write(_ value: Double, at index: Int, step: Int64) {
        onWrite?(index, value)
        let wasOn = isOn(index)
        variables[index].setPoint = value
        variables[index].wasWritten = true
        if variables[index].fluctuates {
            turn(index, step)
        } else if isOn(index) != wasOn || variables[index].motion.target != value {
            variables[index].motion = Motion(start: value, target: value, remainder: 0, since: step)
        }
        switch layout.roles[index] {
        case .power: for dependent in layout.dependents[index] ?? [] { turn(dependent, step) }
        case .massFlow, .pump, .gateValve, .processValve, .purge: break
        case .heater, .heaterOutput, .gauge, .ready, .other: return
        }
        turnGauges(step)
    }

    /// The controller starts anew: every set point and every switch is what the map says. Heat and gas are still there.
    mutating func reboot(step: Int64) {
        for index in variables.indices {
            variables[index].wasWritten = false
            guard variables[index].setPoint != nil else { continue }
            let initial = variables[index].initial
            variables[index].setPoint = initial
            if !variables[index].fluctuates {
                variables[index].motion = Motion(start: initial, target: initial, remainder: 0, since: step)
            }
        }
        for index in variables.indices where variables[index].fluctuates && variables[index].setPoint != nil {
            turn(index, step)
        }
        turnGauges(step)
    }

    private func isOn(_ index: Int) -> Bool { (variables[index].setPoint ?? 0) > 0.5 }

    private func isSwitchedOff(_ index: Int) -> Bool {
        guard let power = layout.partners[index] else { return false }
        return variables[power].wasWritten && !isOn(power)
    }

    /// Where a heater, a flow or a value without a role is heading now.
    private func target(_ index: Int) -> Double? {
        guard let setPoint = variables[index].setPoint else { return nil }
        guard isSwitchedOff(index) else { return setPoint }
        return layout.roles[index] == .massFlow ? variables[index].range.lowerBound : variables[index].initial
    }

    /// Gives a value its new course, beginning where it is.
    private mutating func turn(_ index: Int, _ step: Int64) {
        guard variables[index].fluctuates, let target = target(index), target != variables[index].motion.target else {
            return
        }
        let value = variables[index].motion.value(at: step)
        variables[index].motion = Motion(start: value, target: target, remainder: Self.approach, since: step)
    }

    private mutating func turnGauges(_ step: Int64) {
        guard !layout.gauges.isEmpty else { return }
        let isPumped =
            layout.pumps.contains(where: isOn) && (layout.gates.isEmpty || layout.gates.contains(where: isOn))
        let speed = isPumped ? Self.pumpingSpeed : 0
        let inflow =
            layout.flows.reduce(0) { $0 + Self.inflowPerFlow * max(0, target($1) ?? 0) }
            + Self.inflowPerValve * Double(layout.valves.count(where: isOn))
            + Self.inflowByPurge * Double(layout.purges.count(where: isOn))
        for index in layout.gauges {
            let top = variables[index].range.upperBound
            // What comes in slows down as the pressure rises to that of the supply, the upper end of the range.
            let rate = speed + (top > 0 ? inflow / top : 0)
            let value = variables[index].motion.value(at: step)
            let target = rate > 0 ? (speed * variables[index].initial + inflow) / rate : value
            let remainder = max(0, 1 - rate * Self.step.inSeconds)
            variables[index].motion = Motion(start: value, target: target, remainder: remainder, since: step)
        }
    }
}
