import ALDCore
import Foundation

/// One operation a second on the simulated machine, in virtual time. What the process has allocated after the first tenth
/// is compared with what it has at the end.
struct ControllerMemory: ScenarioWork {
    var reads: Bool
    var writes: Bool

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 51, seed: run.seed)
        let time = ManualTime()
        let device = SimulatedPLC(map, seed: run.seed, time: time)
        guard let target = map.parameters.first(where: { $0.isWritable && $0.dataType == .float32 }) else {
            return run.fail("the generated machine has nothing to write")
        }
        let seconds = Int(run.duration.components.seconds)
        var (readCount, writeCount) = (0, 0)
        var memory = MemoryGrowth()
        for second in 0..<seconds {
            time.advance(by: .seconds(1))
            if writes, !reads || second % 2 == 1 {
                let value = target.range.lowerBound + Double(second % 100) / 100
                try await device.write(value, to: target.id, deadline: time.now + .seconds(1))
                writeCount += 1
            } else {
                _ = try await device.scan(deadline: time.now + .seconds(1))
                readCount += 1
            }
            if second % 3600 == 3599 {
                memory.sample(run, at: Double(second + 1))
                await Task.yield()
            }
        }
        run.note("reads", count: readCount)
        run.note("writes", count: writeCount)
        memory.note(run)
    }
}

/// Metadata of parameters that come and go, one change a minute, in virtual time: what is gone is not kept.
struct ParameterChurn: ScenarioWork {
    func run(_ run: ScenarioRun) async throws {
        var random = SeededGenerator(seed: run.seed)
        let path = try await run.host.directory() + "/metadata.json"
        let cache = MetadataCache(path: path, machine: 1, logger: TestDatabase.quiet)
        var entries: [Int32: MachineMetadata.Entry] = [:]
        var memory = MemoryGrowth()
        var (changes, surplus) = (0, 0)
        for minute in 0..<Int(run.duration.components.seconds / 60) {
            // Around a hundred; every one of 10 000 comes and goes in the course of it.
            for _ in 0..<10 {
                let id = Int32.random(in: 1...10_000, using: &random)
                entries[id] = MachineMetadata.Entry(minimum: 0, maximum: Double(minute), isWritable: true)
            }
            while entries.count > 100, let oldest = entries.min(by: { $0.value.maximum < $1.value.maximum }) {
                entries[oldest.key] = nil
            }
            if cache.renew(MachineMetadata(machine: 1, entries: entries)) { changes += 1 }
            surplus = max(surplus, (cache.current?.entries.count ?? 0) - entries.count)
            if minute % 60 == 59 {
                memory.sample(run, at: Double(minute + 1) * 60)
                await Task.yield()
            }
        }
        // A start without the database finds the newest and nothing else.
        let kept = MetadataCache(path: path, machine: 1, logger: TestDatabase.quiet).current
        if kept?.entries != entries { run.fail("the file does not hold what was last known") }
        run.note("changes", count: changes)
        run.note("entries beyond those there are", count: surplus)
        memory.note(run)
    }
}

/// What a process has allocated, over time.
struct MemoryGrowth {
    private var samples: [(seconds: Double, bytes: Int)] = []

    /// - Parameter seconds: virtual ones since the beginning.
    mutating func sample(_ run: ScenarioRun, at seconds: Double) {
        guard let bytes = ProcessProbe.heapBytes else { return }
        run.advance(toVirtual: .seconds(seconds))
        samples.append((seconds, bytes))
        run.sample("heap in use", Double(bytes), .bytes)
    }

    /// Notes by how much it has grown, from the end of the first tenth on, when caches are full.
    func note(_ run: ScenarioRun) {
        guard !samples.isEmpty else {
            return run.doubt("what is allocated is known on Linux with the GNU C library only")
        }
        let warm = samples.dropFirst(samples.count / 10)
        guard let first = warm.first, let last = warm.last, last.seconds > first.seconds else {
            return run.doubt("too short to say whether memory grows: a look an hour")
        }
        let growth = Double(last.bytes - first.bytes)
        run.note("heap in use", Double(last.bytes), .bytes)
        run.note("memory growth", growth / Double(first.bytes), .ratio)
        run.note("memory growth rate", growth / (last.seconds - first.seconds) * 3600, .bytesPerHour)
    }
}
