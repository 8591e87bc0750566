public import Logging
public import NIOCore
public import NIOPosix

/// A Modbus TCP client for one device.
///
/// It connects when it is first used and again, in the background, whenever requests wait and there is no
/// connection. Every call has an absolute deadline that covers waiting, connecting and the answer. Reads that lose
/// their connection are made once more; a write that may have been executed is reported as
/// ``ModbusError/Code/unknownOutcome(_:)`` and never repeated. Cancelling the calling task ends the call at once.
///
/// ```swift
/// let client = try ModbusClient(configuration: .init(host: "10.0.0.5"))
/// let result = await client.run(plan, deadline: .now() + .seconds(1))
/// await client.close()
/// ```
public final class ModbusClient: Sendable {
    /// The configuration the client was made with.
    public let configuration: Configuration
    /// The event loop that carries the connection.
    public let eventLoop: any EventLoop
    /// Runs tasks on ``eventLoop``. A task that asks for one thing after the other saves two changes of thread per
    /// request when it prefers this executor; child tasks inherit the preference, `Task { }` and actors with an
    /// executor of their own do not.
    ///
    /// ```swift
    /// try await withTaskExecutorPreference(client.executor) {
    ///     for address in addresses { try await client.read(.holdingRegisters, AddressRange(address), deadline: …) }
    /// }
    /// ```
    ///
    /// Such a task holds up the connection while it computes: no blocking, no long computing. ``run(_:unit:deadline:)``
    /// does not need it.
    public let executor: any TaskExecutor

    private let driver: NIOLoopBoundBox<ClientDriver>
    private let status: ClientStatus

    /// Makes a client. Nothing is connected yet.
    ///
    /// - Parameters:
    ///   - group: where the connection runs. Defaults to the process-wide group. Close the client before the group
    ///     is shut down.
    ///   - hooks: who is told what the client does and which frames it exchanges. Defaults to nobody.
    ///   - onStateChange: called on the event loop at every change of ``state``. Return quickly.
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` naming every problem of the configuration.
    public init(
        configuration: Configuration,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "modbus.client"),
        hooks: Hooks = Hooks(), onStateChange: (@Sendable (ConnectionState) -> Void)? = nil
    ) throws(ModbusError) {
        let problems = configuration.validate()
        guard problems.isEmpty else {
            throw ModbusError(.invalidRequest("client configuration: " + problems.joined(separator: "; ")))
        }
        let loop = group.next()
        let status = ClientStatus(observer: onStateChange)
        self.configuration = configuration
        self.eventLoop = loop
        self.executor = LoopExecutor(eventLoop: loop)
        self.status = status
        self.driver = NIOLoopBoundBox.makeBoxSendingValue(
            ClientDriver(configuration: configuration, eventLoop: loop, logger: logger, status: status, hooks: hooks),
            eventLoop: loop
        )
    }

    deinit {
        // A client that was dropped without being closed must not keep its connection.
        if !status.isClosed { onLoop { $0.close {} } }
    }

    /// The connection's state at this moment.
    public var state: ConnectionState {
        status.state
    }

    /// The connection's state now and every change from now on. Ends when the client is closed, after
    /// ``ConnectionState/down(reason:)`` with ``ModbusError/Code/shuttingDown``. Each call makes a stream of its own;
    /// a reader that falls behind finds the newest 16 changes and holds nobody up.
    public var states: AsyncStream<ConnectionState> {
        status.states()
    }

    /// What the client has done so far.
    public var statistics: ClientStatistics {
        status.statistics
    }

    /// Sends one request and waits for its answer.
    ///
    /// - Parameters:
    ///   - unit: the unit to ask. Defaults to the configuration's.
    ///   - isUrgent: it goes before others of its kind that wait, a read also before what is left of a plan. What was sent
    ///     is waited for.
    ///   - deadline: when the call ends at the latest.
    /// - Returns: the answer, whose shape is exactly the one the request asks for. Never an exception response.
    /// - Throws: ``ModbusError``; an exception response as ``ModbusError/Code/exception(_:_:)``.
    public nonisolated(nonsending) func send(
        _ request: ModbusRequest, unit: UnitID? = nil, isUrgent: Bool = false, deadline: NIODeadline
    ) async throws(ModbusError) -> ModbusResponse {
        try request.checked()
        if configuration.framing == .rtuOverTCP { try request.checkedForRTU() }
        let outcome = await perform(.single(request), unit: unit, isUrgent: isUrgent, deadline: deadline)
        return try outcome.single(or: .cancelled)
    }

    /// Runs all requests of a plan, as many at a time as the window allows, and resumes the caller once.
    ///
    /// - Parameters:
    ///   - isUrgent: before others that wait.
    ///   - deadline: when the call ends at the latest; requests that have no answer by then fail.
    /// - Returns: one result per request. Requests fail one by one.
    public nonisolated(nonsending) func run(
        _ plan: ReadPlan, unit: UnitID? = nil, isUrgent: Bool = false, deadline: NIODeadline
    ) async -> PlanResult {
        guard !plan.requests.isEmpty else { return PlanResult(plan: plan, results: []) }
        let outcome = await perform(.plan(plan.requests), unit: unit, isUrgent: isUrgent, deadline: deadline)
        return PlanResult(
            plan: plan, results: outcome.readResults(count: plan.requests.count), roundTrips: outcome.roundTrips)
    }

    /// Closes the connection. Waiting calls end with ``ModbusError/Code/shuttingDown``, requests already sent get
    /// the drain timeout to finish. Every later call ends with ``ModbusError/Code/shuttingDown``. May be called
    /// more than once.
    public func close() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            onLoop { $0.close { continuation.resume() } }
        }
    }

    private nonisolated(nonsending) func perform(
        _ work: ClientWork, unit: UnitID?, isUrgent: Bool = false, deadline: NIODeadline
    ) async -> ClientOutcome {
        let call = status.makeCall()
        let unit = unit ?? configuration.unit
        let polls = work.isPlan || eventLoop.inEventLoop
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                onLoop {
                    $0.submit(
                        work, unit: unit, deadline: deadline, isUrgent: isUrgent, call: call, polls: polls,
                        continuation: continuation)
                }
            }
        } onCancel: {
            call.markCancelled()
            onLoop { $0.cancel(call) }
        }
    }

    private func onLoop(_ body: @escaping @Sendable (ClientDriver) -> Void) {
        if eventLoop.inEventLoop {
            body(driver.value)
        } else {
            eventLoop.execute { [driver] in body(driver.value) }
        }
    }
}
