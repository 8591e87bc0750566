import ALDCore
import Logging
import Modbus
import ServiceLifecycle
import Synchronization

/// The terminals of a station, while they run.
extension Station {
    func operate(
        _ directory: DataDirectory, _ place: Place, _ controller: Reached, _ spools: Spools,
        _ securing: StartupSecuring?
    ) async throws {
        let plc = try ModbusPLC(registerMap, client: controller.client, time: time)
        let collected = try ModbusPLC(collectedMap, client: controller.client, time: time)
        let metadata = MetadataCache(
            path: directory.metadata, machine: settings.machineID, logger: logger(of: .collection))
        let registry = try makeRegistry(directory, place)
        let interlocks = try settings.interlocks(on: registerMap)
        warnOfAssumptions(interlocks)
        let pool = try makePool(place)
        let sink = PostgresSink(
            pool: pool,
            registration: MachineRegistration(
                machine: settings.machineID, name: settings.machineName, registerMap: registerMap),
            time: time, logger: logger(of: .collection))
        let isKnown = metadata.current != nil || !terminals.contains(.collection)
        try await cancelWhenGracefulShutdown {
            try await self.prepare(sink, place.database, isKnown: isKnown)
            // A database that was given up because of a shutdown is no reason to begin without it.
            try Task.checkCancellation()
            do throws(TerminalRegistry.Displaced) {
                try await registry.admit(by: self.time.now + .seconds(3))
            } catch {
                throw Failure(.duplicate, error.reason)
            }
        }
        parts.withLock { parts in
            (parts.plc, parts.plcPlace, parts.databasePlace) = (plc, controller.place, place.description)
            (parts.startedAt, parts.started, parts.hasBegun) = (time.wallClock, time.now, true)
            parts.registry = registry
        }
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if let server = place.server {
            services.append(.init(service: ServerKeeper(server: server, time: time, logger: logger)))
        }
        if terminals.contains(.collection) {
            services.append(.init(service: SchemaUpgrade(database: place.database, time: time, logger: logger)))
        }
        services += [.init(service: registry), .init(service: pool)]
        let writer = try spools.collection.map { try makeWriter($0, sink, for: .collection) }
        let recipeWriter = try spools.recipes.map { try makeWriter($0, sink, for: .recipes) }
        for writer in [writer, recipeWriter].compactMap(\.self) { services.append(.init(service: writer)) }
        let recipes = try recipeWriter.map {
            try makeRecipes(directory, interlocks: interlocks, client: controller.client, pool: pool, writer: $0)
        }
        // Nobody beside a recipe opens its valves, nor any that excludes an open one.
        let guarded = recipes?.guarded ?? InterlockedPLC(plc, interlocks: interlocks)
        // Ended in the opposite order, Terminal 3 beside Terminal 2: first the machine is made safe, and recorded until it is.
        for terminal in [Terminal.collection, .commands, .recipes] where terminals.contains(terminal) {
            let service = supervised(terminal) { () throws -> any Service in
                switch terminal {
                case .collection:
                    guard let spool = spools.collection, let writer else {
                        throw Failure(.software, "Terminal 1 has no spool")
                    }
                    return try self.makeCollection(spool, writer, pool, collected: collected, plc, metadata)
                case .recipes:
                    guard let recipes else { throw Failure(.software, "Terminal 2 has no writer") }
                    return recipes
                case .commands: return try self.makeCommands(pool, guarded)
                }
            }
            services.append(
                .init(
                    service: TerminalKeeper(station: self, supervisor: service),
                    successTerminationBehavior: .gracefullyShutdownGroup))
        }
        if demonstration != nil, settings.controller != nil {
            logger.notice("no demonstration on a controller that is not simulated")
        } else if let file = demonstration {
            services.append(
                .init(
                    service: Demonstration(
                        file: file, settings: settings, map: registerMap, database: place.database, time: time,
                        logger: logger(of: .recipes)), successTerminationBehavior: .ignore))
        }
        services.append(.init(service: watch(), successTerminationBehavior: .ignore))
        services.append(.init(service: FirstWord(station: self), successTerminationBehavior: .ignore))
        if failsOnSignal {
            services.append(.init(service: UnforeseenError.Source(), successTerminationBehavior: .ignore))
        }
        // Whatever fails, the others end in order all the same: the machine is made safe, and it is written down.
        for index in services.indices { services[index].failureTerminationBehavior = .gracefullyShutdownGroup }
        // The recipe service closes it once more and tells of it; two may not write.
        await securing?.leave(by: time.now + .seconds(1))
        var group = ServiceGroupConfiguration(services: services, logger: logger)
        // A failure is no signal: nobody outside of here looks at the time.
        group.maximumGracefulShutdownDuration = ShutdownBudget.ordered
        try await ServiceGroup(configuration: group).run()
        if terminals.contains(.collection) { try await account(spools, place.database) }
    }

    /// On a real machine somebody should have looked at what excludes what.
    private func warnOfAssumptions(_ interlocks: Interlocks) {
        guard settings.interlocksFile == nil, settings.controller != nil, terminals != [.collection] else { return }
        let valves = interlocks.valves.sorted().map { registerMap[$0]?.qualifiedName ?? "parameter \($0)" }
        logger.warning(
            "no interlocks are named in ALD_INTERLOCKS: they are assumed from the names of the parameters",
            metadata: ["exclusive": "\(valves.isEmpty ? "none" : valves.joined(separator: ", "))"])
    }

    private func makeWriter(
        _ spool: Spool, _ sink: PostgresSink, for terminal: Terminal
    ) throws -> BatchWriter {
        var patience = BatchWriter.Configuration()
        patience.flushTimeout = .seconds(1)
        let writer = try BatchWriter(
            spool: spool, sink: sink, configuration: patience, time: time, logger: logger(of: terminal))
        parts.withLock { $0.writers[terminal] = writer }
        return writer
    }

    private func makePool(_ place: Place) throws -> ConnectionPool {
        var configuration = PoolConfiguration()
        // The bell keeps one, and nobody waits for anybody else's statement.
        configuration.maximumConnections =
            (terminals.contains(.collection) ? 4 : 0) + 3 * terminals.filter { $0 != .collection }.count
        let recording = terminals.count { $0 != .commands }
        if recording > 0 { configuration.reservedConnections[.writer] = recording }
        if terminals.contains(.commands) { configuration.reservedConnections[.commandListener] = 2 }
        var database = place.database
        database.timeouts = .recording
        return try ConnectionPool(configuration: database, pool: configuration, time: time, logger: logger)
    }

    private func makeRegistry(_ directory: DataDirectory, _ place: Place) throws -> TerminalRegistry {
        try TerminalRegistry(
            database: place.database, locks: directory.locks,
            configuration: .init(version: ALD.version), time: time, logger: logger
        ) { displaced in
            self.parts.withLock { parts in
                parts.displaced.append(displaced)
                return parts.supervisors[displaced.terminal]
            }?.stop(because: displaced.reason)
        }
    }

    private func supervised(
        _ terminal: Terminal, make: @escaping @Sendable () throws -> any Service
    ) -> Supervisor {
        let supervisor = Supervisor(
            "\(terminal)", end: terminal == .collection ? .isEnd : .isFailure, time: time, logger: logger(of: terminal),
            make: make)
        parts.withLock { $0.supervisors[terminal] = supervisor }
        parts.withLock(\.registry)?.report(terminal) { self.report(of: terminal) }
        // Who was displaced before it was made is not started.
        let displaced = parts.withLock { $0.displaced.first { $0.terminal == terminal } }
        if let displaced { supervisor.stop(because: displaced.reason) }
        return supervisor
    }

    private func makeCollection(
        _ spool: Spool, _ writer: BatchWriter, _ pool: ConnectionPool, collected: any PLC, _ plc: any PLC,
        _ metadata: MetadataCache
    ) throws -> CollectionUnit {
        let unit = try CollectionUnit(
            settings: settings, collected: collected, plc: plc, spool: spool, writer: writer, pool: pool,
            metadata: metadata, time: time,
            logger: logger(of: .collection))
        parts.withLock { $0.collection = unit }
        return unit
    }

    private func makeCommands(_ pool: ConnectionPool, _ plc: any PLC) throws -> ParameterControlService {
        let service = try ParameterControlService(
            plc: plc, pool: pool, machine: settings.machineID, time: time, logger: logger(of: .commands))
        parts.withLock { $0.commands = service }
        return service
    }

    private func makeRecipes(
        _ directory: DataDirectory, interlocks: Interlocks, client: ModbusClient, pool: ConnectionPool,
        writer: BatchWriter
    ) throws -> RecipeService {
        // The same connection; what opens and closes valves goes before everything else that waits for it.
        let plc = try ModbusPLC(registerMap, client: client, isUrgent: true, time: time)
        let service = try RecipeService(
            configuration: .init(
                machine: settings.machineID, interlocks: interlocks, journal: directory.recipeJournal),
            plc: plc, pool: pool, writer: writer, time: time, logger: logger(of: .recipes))
        parts.withLock { $0.recipes = service }
        return service
    }

    /// What became of everything that was accepted, by the spool and by the database.
    private func account(_ spools: Spools, _ database: PostgresConfiguration) async throws {
        var stored = 0
        for spool in [spools.collection, spools.recipes].compactMap(\.self) {
            stored += try await spool.recount().records
        }
        parts.withLock { $0.recounted = stored }
        // A database that did not take the last rows would not count them in time either.
        if stored == 0 { await countRows(database) }
    }

    /// Asks the database itself what it has of this run: the summary does not rest on our own counters alone.
    private func countRows(_ database: PostgresConfiguration) async {
        guard let since = parts.withLock(\.startedAt) else { return }
        let deadline = time.now + .milliseconds(1500)
        do {
            let connection = try await PostgresConnection.connect(
                database, deadline: deadline, time: time, logger: logger)
            let result = try await connection.query(
                "SELECT count(*) FROM ald.parameter_value_history WHERE machine_id = $1 AND sampled_at >= $2",
                [.int4(settings.machineID), .timestamptz(since)], deadline: deadline)
            let count = try result.first?.decode(0, as: Int64.self)
            parts.withLock { $0.counted = count.map(Int.init) }
            await connection.close()
        } catch {
            // The summary then says that nobody counted; it is no reason to fail a run that has recorded everything.
            logger.info("rows not counted", metadata: ["reason": "\(error)"])
        }
    }
}

/// The first to hear that the station ends. Terminal 3 is told at once: it takes no further command, and finishes what it
/// has begun while Terminal 2 makes the machine safe. After one another they would take longer than
/// ``ShutdownBudget/machine`` when neither controller nor database answers.
private struct FirstWord: Service {
    let station: Station

    func run() async throws {
        // Cancelled: everybody is.
        do { try await gracefulShutdown() } catch { return }
        station.parts.withLock { parts in
            parts.isEnding = true
            return parts.supervisors[.commands]
        }?.stop(because: "the station ends")
    }
}

/// One terminal of a station. Its end is the end of the station, unless another process has its place: then the other
/// terminals of this one go on. While the station ends it waits for its turn.
private struct TerminalKeeper: Service {
    let station: Station
    let supervisor: Supervisor

    func run() async throws {
        try await supervisor.run()
        guard case .ended(.some) = supervisor.state else { return }
        let waits = station.parts.withLock { parts in
            // Whoever ends before its turn, while the others are ended in theirs, would be taken for one that has failed.
            parts.isEnding
                || parts.supervisors.values.contains { other in
                    if case .ended = other.state { false } else { true }
                }
        }
        if waits { try await gracefulShutdown() }
    }
}
