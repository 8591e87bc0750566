public import ALDCore

/// Records that can be told apart wherever they are: each has a number, which is its time in microseconds after
/// ``epoch``, and from which everything else in it follows.
public enum NumberedRecords {
    /// A day that is long past and has no partition of its own before the first record of it arrives.
    public static let epoch = Timestamp(microseconds: 1_789_000_000_000_000)
    public static let parameters: Int64 = 10

    public enum Kind: Sendable, CaseIterable {
        case history, gaps, events
    }

    /// - Parameter poisonEvery: of so many numbers the last one breaks a rule of the database; 0: none does.
    public static func records(_ numbers: Range<Int64>, _ kind: Kind, poisonEvery: Int64 = 0) -> Records {
        switch kind {
        case .history:
            .history(
                numbers.map { number in
                    HistoryRow(
                        parameter: ParameterID(rawValue: Int32(1 + number % parameters)), time: time(number),
                        value: isPoison(number, every: poisonEvery) ? -1 : value(number), quality: .good)
                })
        case .gaps:
            .gaps(
                numbers.map { number in
                    CollectionGap(
                        firstMissedAt: time(number), lastMissedAt: time(number),
                        instants: isPoison(number, every: poisonEvery) ? 0 : 1, cause: .plc, detail: "gap \(number)")
                })
        case .events:
            .processEvents(
                numbers.map { number in
                    ProcessEvent(
                        process: 1 + number % parameters, number: isPoison(number, every: poisonEvery) ? 0 : 1 + number,
                        time: time(number), kind: .note, step: 1, iterations: [1], text: "event \(number)",
                        values: ["number": .integer(number)])
                })
        }
    }

    /// One call in seven speaks of gaps, one of process events.
    public static func kind(_ numbers: Range<Int64>) -> Kind {
        switch (numbers.lowerBound / Int64(max(1, numbers.count))) % 7 {
        case 6: .gaps
        case 3: .events
        default: .history
        }
    }

    public static func isPoison(_ number: Int64, every: Int64) -> Bool { every > 0 && number % every == every - 1 }

    static func time(_ number: Int64) -> Timestamp { Timestamp(microseconds: epoch.microseconds + number) }

    private static func value(_ number: Int64) -> Double { Double(number % 1000) + 0.5 }

    /// What the database must know of the machine.
    ///
    /// - Parameter strangers: so many of the last parameters are left out.
    public static func registration(machine: Int32, without strangers: Int = 0) -> MachineRegistration {
        MachineRegistration(
            machine: machine, name: "ALD-\(machine)",
            entries: (1...Int32(parameters)).dropLast(strangers).map {
                .init(
                    id: $0, component: "Heater \($0)", name: "temperature", unit: "°C", dataType: "float", minimum: 0,
                    maximum: 1000, readLocation: "input registers 0", writeLocation: nil)
            })
    }

    /// The rule that a history row with poison breaks. Gaps and events break those that the schema has.
    public static let rule =
        "ALTER TABLE ald_history.parameter_value_history ADD CONSTRAINT not_minus_one CHECK (value <> -1)"
}
