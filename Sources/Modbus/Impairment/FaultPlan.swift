import NIOCore

/// The rules in force, what each has seen and how often it bit. Every draw follows from the seed and the rule's name,
/// so that adding or removing one rule changes nothing for the others.
struct FaultPlan: Sendable {
    /// What a rule is asked about.
    struct Subject: Sendable {
        var connection: Int
        /// Nil while a connection is being made.
        var traits: RequestTraits?
        /// Since the server was made.
        var elapsed: TimeAmount
    }

    fileprivate struct Entry: Sendable {
        var rule: FaultRule
        var matches = 0
        var bites = 0
        var generator: SeededGenerator
    }

    private let seed: UInt64
    private var entries: [Entry] = []
    /// By name, removed rules included.
    private(set) var counts: [String: Int] = [:]

    init(seed: UInt64) {
        self.seed = seed
    }

    /// The rules in force, in order.
    var rules: [FaultRule] {
        entries.map(\.rule)
    }

    /// Adds a rule behind the others; one of the same name is replaced and starts anew.
    mutating func add(_ rule: FaultRule) {
        remove(rule.name)
        entries.append(Entry(rule: rule, generator: SeededGenerator(seed: seed ^ Self.hash(rule.name))))
    }

    mutating func remove(_ name: String) {
        entries.removeAll { $0.rule.name == name }
    }

    mutating func clear() {
        entries = []
    }

    /// The first rule of `level` that bites, in the order of the rules; it is counted.
    ///
    /// - Parameter fits: whether a fault can have an effect here. A rule whose fault cannot is not asked.
    mutating func bite(_ level: FaultLevel, _ subject: Subject, where fits: (Fault) -> Bool = { _ in true }) -> Fault? {
        for index in entries.indices {
            let rule = entries[index].rule
            guard rule.fault.level == level, rule.concerns(subject), fits(rule.fault) else { continue }
            guard entries[index].isBitten() else { continue }
            counts[rule.name, default: 0] += 1
            return rule.fault
        }
        return nil
    }

    /// FNV-1a: the same on every machine and in every run, unlike `Hasher`.
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}

extension FaultPlan.Entry {
    /// One more match; whether it is bitten.
    fileprivate mutating func isBitten() -> Bool {
        matches += 1
        let number = matches - rule.after
        guard number >= 1, (number - 1) % max(rule.every, 1) == 0, rule.times.map({ bites < $0 }) ?? true else {
            return false
        }
        guard rule.probability >= 1 || Double.random(in: 0..<1, using: &generator) < rule.probability else {
            return false
        }
        bites += 1
        return true
    }
}

extension FaultRule {
    fileprivate func concerns(_ subject: FaultPlan.Subject) -> Bool {
        if let connections, !connections.contains(subject.connection) { return false }
        if let window, !window.contains(.nanoseconds(subject.elapsed.nanoseconds)) { return false }
        guard let traits = subject.traits else { return true }
        if let functions, !functions.contains(traits.function) { return false }
        if let units, !units.contains(traits.unit) { return false }
        guard addresses != nil || table != nil else { return true }
        return traits.spans.contains { span in
            (table.map { $0 == span.table } ?? true) && (addresses.map { $0.overlaps(span.range) } ?? true)
        }
    }
}
