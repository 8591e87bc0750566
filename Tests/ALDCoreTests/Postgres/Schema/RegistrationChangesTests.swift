import Testing

@testable import ALDCore

/// What a registration would change, decided without a database.
@Suite struct RegistrationChangesTests {
    private static func entry(_ id: Int32, _ name: String, maximum: Double = 10) -> MachineRegistration.Entry {
        .init(
            id: id, component: "Heater", name: name, unit: "°C", dataType: "float", minimum: 0, maximum: maximum,
            readLocation: "input registers 0", writeLocation: nil)
    }

    private let machine = MachineRegistration(machine: 1, name: "ALD-1", entries: [entry(1, "a"), entry(2, "b")])

    @Test func everythingIsNewOnAnEmptyDatabase() throws {
        let changes = try machine.changes(to: .init())
        #expect(changes.isNewMachine && changes.added == ["Heater.a", "Heater.b"])
        #expect(changes.differences.isEmpty && changes.absent.isEmpty && !changes.isEmpty)
    }

    @Test func theSameAgainIsNoChangeAndWhatTheMapHasNoMoreIsKept() throws {
        let changes = try machine.changes(to: .init(name: "ALD-1", entries: machine.entries + [Self.entry(3, "c")]))
        #expect(changes.isEmpty && changes.absent == ["Heater.c"])
    }

    @Test func aChangedPropertyIsNamedWithBothValues() throws {
        let changes = try machine.changes(
            to: .init(name: "ALD-1", entries: [Self.entry(1, "a", maximum: 20), Self.entry(2, "b")]))
        #expect(
            changes.differences == [
                .init(parameter: "Heater.a", property: "max_value", old: "20.0", new: "10.0")
            ])
        #expect(!changes.isEmpty)
    }

    @Test(arguments: [
        MachineRegistration.Known(name: "Other"), .init(name: nil, namesake: 4),
        .init(name: "ALD-1", entries: [entry(1, "b")]), .init(name: "ALD-1", entries: [entry(9, "a")]),
    ]) func aNumberOrANameNeverChangesItsMeaning(known: MachineRegistration.Known) {
        #expect(throws: MachineRegistration.Conflict.self) { try machine.changes(to: known) }
    }
}
