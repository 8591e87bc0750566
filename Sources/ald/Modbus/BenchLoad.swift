import ALDCore
import Modbus
import NIOCore

/// What one connection, or all of them together, did in a measurement.
struct BenchResult: Sendable {
    /// Requests answered with data in the time that counts for the rate.
    var requests = 0
    /// Requests that ended otherwise, at any time.
    var errors = 0
    var firstError: ModbusError?
    /// How long the requests that count were made.
    var took = Duration.zero
    /// Of calls of one read.
    var latency = DurationHistogram()

    mutating func add(_ other: BenchResult) {
        requests += other.requests
        errors += other.errors
        firstError = firstError ?? other.firstError
        took = max(took, other.took)
        latency.add(other.latency)
    }

    mutating func failed(_ error: ModbusError) {
        // The end of the program is no failure of the device.
        guard error.code != .cancelled else { return }
        errors += 1
        firstError = firstError ?? error
    }
}

/// The load of one connection: blocks of one size, read again and again.
///
/// Each block begins one address after the one before: nobody between here and the device can answer two of them with
/// one reading.
struct BenchLoad: Sendable {
    /// The most blocks, and the most requests of one call.
    static let mostBlocks = 256
    /// About as long as a call of many requests takes; the measurement ends this exactly.
    static let callTime = Duration.milliseconds(50)
    /// Calls that fail in a row before there is nothing left to measure.
    static let patience = 10

    var table: DataTable
    /// The first block.
    var block: AddressRange
    var window: Int
    var device: DeviceOptions

    /// Makes one connection's requests: plans for some time, then single reads for some time.
    func run(plansFor planTime: Duration, readsFor readTime: Duration) async throws -> BenchResult {
        var configuration = device.configuration
        configuration.window = window
        return try await withModbusClient(configuration) { client in
            var result = BenchResult()
            guard let (blocks, roundTrip) = await blocks(of: client, &result) else { return result }
            if planTime > .zero {
                try await runPlans(client, blocks, roundTrip, until: SystemTime().now + planTime, &result)
            }
            // Where one read follows the other, the connection's own thread is the quickest to run on.
            let reads = await withTaskExecutorPreference(client.executor) {
                await runReads(client, blocks, until: SystemTime().now + readTime)
            }
            result.add(planTime > .zero ? reads.withoutRate : reads)
            return result
        }
    }

    /// Finds out how many blocks the device has, one address apart, and how long a read takes.
    ///
    /// - Returns: `nil` when not even the first can be read.
    private func blocks(of client: ModbusClient, _ result: inout BenchResult) async -> ([AddressRange], Duration)? {
        var count = 1
        var roundTrip = Duration.zero
        do throws(ModbusError) {
            _ = try await client.read(table, block, deadline: device.deadline)
            let started = SystemTime().now
            _ = try await client.read(table, block, deadline: device.deadline)
            roundTrip = SystemTime().now - started
        } catch {
            result.failed(error)
            return nil
        }
        var candidate = Self.mostBlocks
        while candidate > 1 {
            let last = AddressRange(start: block.start.addingClamped(candidate - 1), count: block.count)
            if let last, Int(last.start) == Int(block.start) + candidate - 1 {
                do throws(ModbusError) {
                    _ = try await client.read(table, last, deadline: device.deadline)
                    count = candidate
                    break
                } catch {
                    // The table is smaller than that.
                }
            }
            candidate /= 2
        }
        let blocks = (0..<count).compactMap {
            AddressRange(start: block.start.addingClamped($0), count: block.count)
        }
        return (blocks, roundTrip)
    }

    private func runPlans(
        _ client: ModbusClient, _ blocks: [AddressRange], _ roundTrip: Duration, until end: MonotonicInstant,
        _ result: inout BenchResult
    ) async throws {
        let fitting = Int(Self.callTime / max(roundTrip, .microseconds(1))) * window
        var planner = ReadPlanner()
        planner.maximumRegisters = table.isBits ? planner.maximumRegisters : block.count
        planner.maximumBits = table.isBits ? block.count : planner.maximumBits
        let plan = try planner.plan(blocks.prefix(max(fitting, window)).map { ReadSpan(table, $0) })
        let time = SystemTime()
        let started = time.now
        var failures = 0
        while time.now < end, failures < Self.patience, !Task.isCancelled {
            let deadline = NIODeadline.now() + TimeAmount(device.timeout.duration + Self.callTime * 4)
            failures += 1
            for answer in await client.run(plan, deadline: deadline).results {
                switch answer {
                case .success:
                    result.requests += 1
                    failures = 0
                case .failure(let error): result.failed(error)
                }
            }
        }
        result.took = time.now - started
    }

    private func runReads(
        _ client: ModbusClient, _ blocks: [AddressRange], until end: MonotonicInstant
    ) async -> BenchResult {
        await withTaskGroup(of: BenchResult.self) { group in
            for worker in 0..<window {
                group.addTask { await readOnAndOn(client, blocks, from: worker, until: end) }
            }
            var sum = BenchResult()
            for await part in group { sum.add(part) }
            return sum
        }
    }

    private func readOnAndOn(
        _ client: ModbusClient, _ blocks: [AddressRange], from first: Int, until end: MonotonicInstant
    ) async -> BenchResult {
        let time = SystemTime()
        let started = time.now
        var result = BenchResult()
        var (index, failures) = (first, 0)
        var now = started
        while now < end, failures < Self.patience, !Task.isCancelled {
            do throws(ModbusError) {
                _ = try await client.read(table, blocks[index % blocks.count], deadline: device.deadline)
                result.requests += 1
                failures = 0
                let answered = time.now
                result.latency.record(answered - now)
                now = answered
            } catch {
                failures += 1
                result.failed(error)
                now = time.now
            }
            index += window
        }
        result.took = now - started
        return result
    }
}

extension BenchResult {
    /// Its latencies and errors alone.
    fileprivate var withoutRate: BenchResult {
        var result = self
        result.requests = 0
        result.took = .zero
        return result
    }
}

extension UInt16 {
    fileprivate func addingClamped(_ offset: Int) -> UInt16 { UInt16(clamping: Int(self) + offset) }
}
