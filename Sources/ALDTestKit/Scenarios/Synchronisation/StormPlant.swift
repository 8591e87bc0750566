import ALDCore
import Synchronization

/// Several machines at one database, what a crowd does to them, and what it was told has become of it.
final class StormPlant: Sendable {
    struct Machine: Sendable {
        var number: Int32
        var sink: PostgresSink
        var promises = Promises()
    }

    /// What was done at least once, so that nobody takes a storm for varied that was not.
    struct Tally: Sendable {
        var copies = 0
        /// Pairs that a second one has delivered, too.
        var pairs = 0
        /// Commands whose insertion the database has confirmed.
        var asked = 0
        /// How often each was given out.
        var taken: [CommandName: Int] = [:]
    }

    struct CommandName: Hashable, Sendable {
        var machine: Int32
        var number: Int64
    }

    private typealias Delivery = (batch: Batch, numbers: Range<Int64>)

    private struct State {
        var lastNumber: Int64 = 0
        /// Those that nobody has delivered the other way round yet.
        var pairs: [Int32: [Delivery]] = [:]
        var tally = Tally()
    }

    let machines: [Machine]
    private let pool: ConnectionPool
    private let time = SystemTime()
    private let state = Mutex(State())

    init(machines count: Int32, _ pool: ConnectionPool) {
        self.pool = pool
        machines = (1...count).map { number in
            Machine(
                number: number,
                sink: PostgresSink(
                    pool: pool, registration: Self.registration(machine: number), logger: TestDatabase.quiet))
        }
    }

    /// As that of ``NumberedRecords``, with parameters that take commands.
    private static func registration(machine: Int32) -> MachineRegistration {
        var registration = NumberedRecords.registration(machine: machine)
        for index in registration.entries.indices {
            registration.entries[index].writeLocation = "holding registers \(index * 2)"
        }
        return registration
    }

    var tally: Tally { state.withLock(\.tally) }

    /// Before the first act: commands are for parameters that the database knows.
    func register(in database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            for machine in machines {
                _ = try await Self.registration(machine: machine.number).register(
                    connection, updatesExisting: false, deadline: deadline)
            }
        }
    }

    /// - Parameter client: who does it: batches are of his origin.
    func perform(
        _ act: StormAct, by client: Int, using random: inout SeededGenerator, deadline: MonotonicInstant
    ) async throws {
        let machine = machines[Int.random(in: machines.indices, using: &random)]
        switch act {
        case .batch(let kind, let records):
            try await deliver([make(kind, records, machine, client, using: &random)], machine, deadline: deadline)
            if records >= PostgresSink.copiedRows { state.withLock { $0.tally.copies += 1 } }
        case .pair(let kind, let records):
            let own = [
                // That of the higher name first.
                make(kind, records, machine, client + 1000, using: &random),
                make(kind, records, machine, client, using: &random),
            ]
            let found = state.withLock { state -> [Delivery]? in
                if let found = state.pairs.removeValue(forKey: machine.number) {
                    state.tally.pairs += 1
                    return found
                }
                state.pairs[machine.number] = own.reversed()
                return nil
            }
            try await deliver(found ?? own, machine, deadline: deadline)
        case .commands(let count):
            let parameters = (1...Int32(NumberedRecords.parameters)).shuffled(using: &random).prefix(count)
            try await command(Array(parameters), of: machine.number, deadline: deadline)
        }
    }

    // MARK: Batches

    private func make(
        _ kind: NumberedRecords.Kind, _ count: Int, _ machine: Machine, _ client: Int,
        using random: inout SeededGenerator
    ) -> Delivery {
        let numbers = machine.promises.take(count)
        let number = nextNumber()
        return (
            Batch(
                id: BatchID(origin: Int64(client + 1), number: number), machine: machine.number,
                records: NumberedRecords.records(numbers, kind).shuffled(using: &random)), numbers
        )
    }

    private func nextNumber() -> Int64 {
        state.withLock { state in
            state.lastNumber += 1
            return state.lastNumber
        }
    }

    /// What has failed may have landed all the same, unheard; but not twice.
    ///
    /// A sink gives up waiting for a connection after two seconds, so that a database that is away is known to be away.
    /// This one is there and busy: as a writer does, we ask again.
    private func deliver(_ deliveries: [Delivery], _ machine: Machine, deadline: MonotonicInstant) async throws {
        while true {
            do throws(SinkFault) {
                let landings = try await machine.sink.deliver(deliveries.map(\.batch), deadline: deadline)
                for (landing, delivery) in zip(landings, deliveries) {
                    switch landing {
                    case .landed, .known: machine.promises.accept(delivery.numbers)
                    case .forgotten, .unregistered, .collision, .voided:
                        throw SinkFault(.ownBug, "batch \(delivery.batch.id) of a storm: \(landing)")
                    }
                }
                return
            } catch {
                guard error.faultClass == .unsent, time.now < deadline else { throw error }
            }
            try await time.sleep(for: .milliseconds(10))
        }
    }

    // MARK: Commands

    /// As somebody who asks for something and a terminal do, in a transaction each: insertion, claim, end.
    private func command(_ parameters: [Int32], of machine: Int32, deadline: MonotonicInstant) async throws {
        let worker = "storm/\(nextNumber())"
        try await pool.withConnection(holder: "commands", lane: .commandListener, deadline: deadline) { connection in
            _ = try await connection.query(
                """
                INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                SELECT $1, p, 10 FROM unnest($2::int[]) p
                """, [.int4(machine), .int4Array(parameters)], deadline: deadline)
            self.state.withLock { $0.tally.asked += parameters.count }
            _ = try await self.take(parameters.count, of: machine, as: worker, connection, deadline: deadline)
        }
    }

    /// Ends what nobody has taken yet.
    func takeTheRest(in database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            for machine in machines {
                while try await take(100, of: machine.number, as: "storm/rest", connection, deadline: deadline) > 0 {}
            }
        }
    }

    private func take(
        _ limit: Int, of machine: Int32, as worker: String, _ connection: PostgresConnection,
        deadline: MonotonicInstant
    ) async throws -> Int {
        let taken = try await connection.query(
            "SELECT command_id FROM ald.retake_parameter_commands($1, $2, $3, 30, '{}')",
            [.int4(machine), .text(worker), .int4(Int32(limit))], deadline: deadline
        ).map { try $0.decode(0, as: Int64.self) }
        state.withLock { state in
            for number in taken {
                state.tally.taken[CommandName(machine: machine, number: number), default: 0] += 1
            }
        }
        guard !taken.isEmpty else { return 0 }
        _ = try await connection.query(
            """
            SELECT ald.finish_parameter_commands($1, $2, $3, array_fill('succeeded'::text, ARRAY[n]),
                array_fill(NULL::text, ARRAY[n]), array_fill(10::float8, ARRAY[n]),
                array_fill(NULL::timestamptz, ARRAY[n]), array_fill(NULL::timestamptz, ARRAY[n]))
            FROM cardinality($3::int8[]) n
            """, [.int4(machine), .text(worker), .int8Array(taken)], deadline: deadline)
        return taken.count
    }
}
