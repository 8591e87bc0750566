/// A fault, and when it bites. All conditions must hold; one that is left out always does.
public struct FaultRule: Hashable, Sendable {
    /// What the rule's bites are counted under. Unique among the rules of a plan.
    public var name: String
    /// What goes wrong.
    public var fault: Fault

    /// The functions of requests that are meant. Defaults to nil: all. Not for ``Fault/connect(_:)``.
    public var functions: Set<FunctionCode>? = nil
    /// Addresses, at least one of which a request must touch. Defaults to nil: all. Not for ``Fault/connect(_:)``.
    public var addresses: AddressRange? = nil
    /// The table those addresses belong to. Defaults to nil: every table. Not for ``Fault/connect(_:)``.
    public var table: DataTable? = nil
    /// The units that are meant. Defaults to nil: all. Not for ``Fault/connect(_:)``.
    public var units: Set<UnitID>? = nil
    /// The connections that are meant, counted from 1 since the server was made. Defaults to nil: all.
    public var connections: ClosedRange<Int>? = nil
    /// The time since the server was made. Defaults to nil: always.
    public var window: Range<Duration>? = nil

    /// How many matches pass unharmed first. Defaults to 0.
    public var after: Int = 0
    /// Every how many matches behind those it bites, at least 1. Defaults to 1.
    public var every: Int = 1
    /// How often it bites at most. Defaults to nil: without end.
    public var times: Int? = nil
    /// The share of the matches left that it bites, 0…1. Defaults to 1.
    public var probability: Double = 1

    public init(_ name: String, _ fault: Fault) {
        self.name = name
        self.fault = fault
    }

    /// Every problem of this rule, in words; empty when it can be used.
    public func validate() -> [String] {
        var problems: [String] = []
        func check(_ isSound: Bool, _ problem: String) {
            if !isSound { problems.append("fault \"\(name)\": \(problem)") }
        }
        check(!name.isEmpty, "it needs a name")
        check(after >= 0, "after is \(after); allowed are 0 and more")
        check(every >= 1, "every is \(every); allowed are 1 and more")
        check(times.map { $0 >= 1 } ?? true, "times is \(times ?? 0); allowed are 1 and more")
        check((0...1).contains(probability), "probability is \(probability); allowed are 0 to 1")
        if case .connect = fault {
            let isAboutRequests = functions != nil || addresses != nil || table != nil || units != nil
            check(!isAboutRequests, "a connection that is being made has no function, address, table or unit")
        }
        for time in fault.durations { problems += DeviceBehavior.problems("fault \"\(name)\"", time) }
        for (what, count, allowed) in fault.counts {
            check(
                allowed.contains(count),
                "\(what) is \(count); allowed are \(allowed.lowerBound) to \(allowed.upperBound)")
        }
        return problems
    }
}

extension Fault {
    fileprivate var durations: [Duration] {
        switch self {
        case .request(.delay(let time)), .reply(.swap(let time)), .reply(.split(_, let time)),
            .reply(.trickle(let time)), .connection(.stall(let time)), .connection(.freeze(let time)),
            .connection(.reboot(let time)):
            [time]
        default: []
        }
    }

    fileprivate var counts: [(String, Int, ClosedRange<Int>)] {
        switch self {
        case .reply(.split(let count, _)), .reply(.truncate(let count)): [("after", count, 0...260)]
        case .reply(.junkBefore(let count)), .reply(.junkAfter(let count)): [("junk", count, 1...1024)]
        case .reply(.lengthOff(let count)): [("lengthOff", count, -65_535...65_535)]
        case .reply(.byteCountOff(let count)): [("byteCountOff", count, -255...255)]
        default: []
        }
    }
}
