import Synchronization

/// The faults of a device, to be changed while it runs, from any thread.
///
/// ```swift
/// let faults = FaultInjector(seed: 7)
/// let server = ModbusServer(device: device, behavior: DeviceBehavior(faults: faults))
/// var rule = FaultRule("late", .request(.delay(.milliseconds(300))))
/// rule.probability = 0.01
/// try faults.add(rule)
/// …
/// faults.clear()
/// #expect(faults.count("late") > 0)
/// ```
public final class FaultInjector: Sendable {
    private let plan: Mutex<FaultPlan>

    /// - Parameter seed: what every draw follows from.
    public init(seed: UInt64 = 1) {
        plan = Mutex(FaultPlan(seed: seed))
    }

    /// Adds a rule behind those that are there. One of the same name is replaced; its count goes on.
    ///
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` naming every problem of the rule.
    public func add(_ rule: FaultRule) throws(ModbusError) {
        let problems = rule.validate()
        guard problems.isEmpty else { throw ModbusError(.invalidRequest(problems.joined(separator: "; "))) }
        plan.withLock { $0.add(rule) }
    }

    /// Removes the rule of this name, if there is one.
    public func remove(_ name: String) {
        plan.withLock { $0.remove(name) }
    }

    /// Removes all rules. What they did is still counted.
    public func clear() {
        plan.withLock { $0.clear() }
    }

    /// The rules in force, in the order in which they are asked.
    public var rules: [FaultRule] {
        plan.withLock { $0.rules }
    }

    /// How often rules of this name had an effect, removed ones included.
    public func count(_ name: String) -> Int {
        plan.withLock { $0.counts[name] ?? 0 }
    }

    /// All counts, by name.
    public var counts: [String: Int] {
        plan.withLock { $0.counts }
    }

    func bite(_ level: FaultLevel, _ subject: FaultPlan.Subject, where fits: (Fault) -> Bool = { _ in true }) -> Fault?
    {
        plan.withLock { $0.bite(level, subject, where: fits) }
    }
}
