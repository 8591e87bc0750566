import ALDCore
import Logging
import ServiceLifecycle
import Synchronization

/// Terminal 1 with all that it alone needs: upkeep of the history, collection, set points.
struct CollectionUnit: Service {
    private let writer: BatchWriter
    let collection: DataCollectionService
    let synchroniser: SetPointSynchroniser
    private let maintenance: HistoryMaintenance
    private let logger: Logger

    /// - Parameters:
    ///   - collected: the controller, with what is recorded of it.
    ///   - plc: the controller, with all that it has: set points are compared whether they are recorded or not.
    ///   - writer: over `spool`; it runs beside this and ends after it.
    ///   - metadata: what the database says of the parameters, kept for a start without it.
    init(
        settings: Settings, collected: any PLC, plc: any PLC, spool: Spool, writer: BatchWriter, pool: ConnectionPool,
        metadata: MetadataCache, time: any TimeSource, logger: Logger
    ) throws {
        let collection = try DataCollectionService(
            plc: collected, writer: writer, machine: settings.machineID, configuration: settings.collecting,
            metadata: metadata, time: time, logger: logger)
        self.writer = writer
        self.collection = collection
        self.logger = logger
        synchroniser = try SetPointSynchroniser(
            plc: plc, pool: pool, machine: settings.machineID, metadata: metadata,
            isDegraded: { collection.isDegraded || writer.statistics.lastFault != nil }, time: time, logger: logger)
        maintenance = HistoryMaintenance(
            pool: pool, forgotten: spool.promises(machine: settings.machineID), time: time, logger: logger)
    }

    func run() async throws {
        try await ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: maintenance), .init(service: synchroniser),
                    // Its end, after --duration, is the end of all.
                    .init(service: collection, successTerminationBehavior: .gracefullyShutdownGroup),
                ], logger: logger)
        ).run()
    }

    /// What the registry is told.
    func report(controllerFault: String?) -> TerminalReport {
        let (collected, written, compared) = (collection.statistics, writer.statistics, synchroniser.statistics)
        var report = TerminalReport()
        (report.processed, report.errors) = (collected.cycles, collected.missed)
        report.controllerFault = controllerFault
        report.lastError = collected.lastFailure
        if let failure = collected.lastFailure { report.degrade(failure) }
        if let fault = written.lastFault { report.degrade("rows wait on disk: \(fault)") }
        if collection.isDegraded { report.degrade("cycles take long; set points are compared less often") }
        if compared.isDatabaseSlow { report.degrade("the database is slow; set points are compared less often") }
        return report
    }
}
