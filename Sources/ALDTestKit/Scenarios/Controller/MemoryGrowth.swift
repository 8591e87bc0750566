import ALDCore

/// What this process has allocated, over time.
struct MemoryGrowth {
    private var samples: [(seconds: Double, bytes: Int)] = []
    private let interval: Int

    /// - Parameter duration: of the run, virtual; there is a look an hour, and a few in a shorter one.
    init(over duration: Duration) {
        interval = max(1, min(3600, Int(duration.components.seconds) / 24))
    }

    /// - Parameter second: a virtual one since the beginning.
    func isDue(at second: Int) -> Bool { Double(second) >= (samples.last?.seconds ?? 0) + Double(interval) }

    mutating func sample(_ run: ScenarioRun, at second: Int) {
        guard let bytes = ProcessProbe.heapBytes else { return }
        run.advance(toVirtual: .seconds(second))
        add(bytes, at: second)
        run.sample("heap in use", Double(bytes), .bytes)
    }

    mutating func add(_ bytes: Int, at second: Int) { samples.append((Double(second), bytes)) }

    /// Notes by how much it has grown, from the end of the first tenth on, when caches are full.
    func note(_ run: ScenarioRun) {
        let way = ControllerWay.direct.rawValue
        guard ProcessProbe.heapBytes != nil else {
            return run.doubt("what is allocated is known on Linux with the GNU C library only")
        }
        let warm = samples.dropFirst(samples.count / 10)
        guard let first = warm.first, let last = warm.last, last.seconds > first.seconds else {
            return run.doubt("too short to say whether memory grows: it takes two changes or operations at least")
        }
        let growth = Double(last.bytes - first.bytes)
        run.note("\(way): heap in use", Double(last.bytes), .bytes)
        run.note("\(way): memory growth", growth / Double(first.bytes), .ratio)
        run.note("\(way): memory growth rate", growth / (last.seconds - first.seconds) * 3600, .bytesPerHour)
    }

    // MARK: Real time

    /// However long the virtual time of the run is; a shorter one takes no longer than was asked for.
    private static let realTime = Duration.seconds(3)
    private static let looks = 30
    /// Done before the first look. A library of the system keeps up to a thousand or so of what it has freed, once in a
    /// process (Dispatch its continuations); until it has them every operation seems to leave something behind.
    private static let warmUp = 1200

    /// Has as many operations done as fit into a moment of real time, a few at least, and looks now and then.
    static func watch(_ run: ScenarioRun, _ operation: () async throws -> Void) async throws -> LeakWatch {
        var watch = LeakWatch()
        let length = min(realTime, run.duration)
        var done = 0
        let warm = run.time.now + length
        while done < warmUp, run.time.now < warm {
            try await operation()
            done += 1
        }
        let beginning = run.time.now
        for look in 1...looks {
            repeat {
                try await operation()
                done += 1
            } while run.time.now < beginning + length * look / looks
            watch.look(after: done, at: (run.time.now - beginning).inSeconds)
        }
        return watch
    }
}

extension LeakWatch {
    /// Notes the trend of what this process has allocated, over the whole of it and for each operation.
    func note(_ run: ScenarioRun, _ way: ControllerWay) {
        guard let growth = growth(Self.heap), let each = perOperation(Self.heap) else {
            return run.doubt("what is allocated is known on Linux with the GNU C library only")
        }
        run.note("\(way.rawValue): memory growth", growth, .ratio)
        run.note("\(way.rawValue): heap in use per operation", each, .bytes)
    }
}
