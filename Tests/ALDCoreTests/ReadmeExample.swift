import ALDCore
import Logging
import ServiceLifecycle

/// Records the simulated machine until its task is cancelled. `directory` keeps rows that have not landed yet.
func record(into url: String, keepingRowsIn directory: String) async throws {
    let logger = Logger(label: "laboratory")
    let map = try RegisterMap(file: "Fixtures/Machine/machine-51.csv")
    let pool = try ConnectionPool(configuration: PostgresConfiguration(connectionString: url), logger: logger)
    let machine = MachineRegistration(machine: 1, name: "ALD-1", registerMap: map)
    let sink = PostgresSink(pool: pool, registration: machine, logger: logger)
    let writer = try BatchWriter(spool: Spool(directory: directory), sink: sink, logger: logger)
    let plc = SimulatedPLC(map, seed: 1)  // or ModbusPLC(map, client: ModbusClient(…))
    let terminal = try DataCollectionService(plc: plc, writer: writer, machine: 1, logger: logger)
    let services: [any Service] = [pool, writer, terminal]
    try await ServiceGroup(services: services, logger: logger).run()
}
