import ALDTestKit
import Testing

@testable import ALDCore

extension SchemaServerTests {
    @Suite struct RegistrationRace {
        /// Story: three terminals of a new machine start together on an empty database. Each enters the machine, and none
        /// may fail because another was quicker by the time between two keys of one row.
        @Test("Several who register the same new machine at the same moment all succeed, and one of them has made it")
        func sameMoment() async throws {
            try await SchemaDatabase.with { connection, database in
                for machine in Int32(1)...Int32(Gate.rounds(60, nominal: 1000)) {
                    let registration = MachineRegistration(
                        machine: machine, name: "ALD-\(machine)",
                        entries: [
                            .init(
                                id: 1, component: "Heater", name: "temperature", unit: "°C", dataType: "float",
                                minimum: 0, maximum: 10, readLocation: "input registers 0", writeLocation: nil)
                        ])
                    let makers = try await withThrowingTaskGroup(of: Bool.self) { group in
                        for _ in 0..<4 {
                            group.addTask {
                                try await TestDatabase.withConnection(database) { own, deadline in
                                    try await registration.register(own, updatesExisting: false, deadline: deadline)
                                        .isNewMachine
                                }
                            }
                        }
                        return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                    }
                    // Who finds it made before it has begun says the same as the one who made it in vain.
                    #expect(makers >= 1)
                }
                #expect(
                    try await connection.rows(
                        "SELECT count(*), count(DISTINCT machine_id) FROM ald.component_parameters")
                        == ["\(Gate.rounds(60, nominal: 1000))|\(Gate.rounds(60, nominal: 1000))"])
            }
        }
    }
}
