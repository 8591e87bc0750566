import ALDCore
import Foundation
import Logging

/// Services that log through the real handler, each into a file of its own, for hours and days of virtual time; midnight
/// is in the middle. A shorter run has smaller files and fewer lines in proportion. What is judged: every line that is
/// kept is read back from all files, once, whole and in order; files are put away when they are full or their day is
/// over, compressed, and deleted when they are too many; the disk never holds more than it may.
struct LogRotations: ScenarioWork {
    /// For each service, how many full files its lines would make.
    var volumes: [Double]
    /// Of a full file, in bytes.
    var maximumBytes: Int64
    var keptFiles = 1000
    /// Into how many parts the time is divided.
    var steps = 48
    /// Midnight is in the middle; otherwise at the beginning.
    var beginsInTheDay = true
    /// Whether a further service logs on a full disk.
    var fillsADisk = false

    /// Each service logs from several tasks at once.
    private static let writers = 4
    /// About, with everything around the message.
    private static let lineBytes = 216.0

    private struct Service {
        var name: String
        var path: String
        var file: LogFile
        var linesPerStep: Int
        var logger: Logger
    }

    func run(_ run: ScenarioRun) async throws {
        // As much smaller as the run is shorter.
        let part = min(1, run.duration / run.scenario.nominal)
        let size = Int64(Double(maximumBytes) * part)
        let midnight = Timestamp(microseconds: 1_767_225_600_000_000)
        let time = ManualTime(wallClock: beginsInTheDay ? midnight.advanced(by: run.duration / -2) : midnight)
        try await VirtualPlant.withDirectory(run) { directory in
            let services = try volumes.enumerated().map { number, volume in
                try service("service\(number + 1)", directory, volume * Double(size), size, time, run)
            }
            defer { for service in services { service.file.close() } }
            let most = try await write(run, services, directory, time)
            for service in services {
                if !service.file.finishArchives(within: .seconds(120)) { run.fail("\(service.name) is not compressed") }
                service.file.close()
            }
            run.note("most on the disk", Double(most), .bytes)
            // Of each service: what is kept, what is written, and one file that is being compressed.
            let bound = volumes.count * Int(policy(size).keptBytes + 2 * size)
            run.note("most on the disk, of what there may be", Double(most) / Double(bound), .ratio)
            try judge(run, services, size)
            if fillsADisk { try fill(run, directory, time) }
        }
    }

    private func policy(_ size: Int64) -> LogRotation.Policy {
        var policy = LogRotation.Policy()
        (policy.maximumBytes, policy.keptFiles) = (size, keptFiles)
        // Ten full ones, compressed to less than that.
        policy.keptBytes = 10 * size
        return policy
    }

    private func service(
        _ name: String, _ directory: String, _ bytes: Double, _ size: Int64, _ time: ManualTime, _ run: ScenarioRun
    ) throws -> Service {
        let path = "\(directory)/log/\(name).log"
        let file = try LogFile(path, policy: policy(size), time: time) { run.fail($0) }
        return Service(
            name: name, path: path, file: file,
            linesPerStep: max(1, Int(bytes / Self.lineBytes / Double(steps * Self.writers))),
            logger: Logger(label: name) { _ in FileLogHandler(file, level: .debug, time: time) })
    }

    /// - Returns: the most bytes that were on the disk.
    private func write(
        _ run: ScenarioRun, _ services: [Service], _ directory: String, _ time: ManualTime
    ) async throws -> Int {
        var most = 0
        for step in 0..<steps {
            await withTaskGroup(of: Void.self) { group in
                for service in services {
                    for writer in 0..<Self.writers {
                        group.addTask { Self.write(service, writer, step) }
                    }
                }
            }
            time.advance(by: run.duration / steps)
            run.advance(toVirtual: run.duration * (step + 1) / steps)
            let bytes = try Self.bytes(in: directory + "/log")
            most = max(most, bytes)
            run.sample("logs on the disk", Double(bytes), .bytes)
        }
        return most
    }

    /// Lines of different lengths, with numbers that go up by one.
    private static func write(_ service: Service, _ writer: Int, _ step: Int) {
        for index in 0..<service.linesPerStep {
            let number = step * service.linesPerStep + index
            let filling = String(repeating: "x", count: 96 + number % 96)
            service.logger.debug(
                "cycle", metadata: ["number": "\(number)", "what": "\(filling)", "writer": "\(writer)", "x": "end"])
        }
    }

    private static func bytes(in directory: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: directory).reduce(0) { sum, name in
            var status = stat()
            return lstat("\(directory)/\(name)", &status) == 0 ? sum + Int(status.st_size) : sum
        }
    }

    // MARK: Reading back

    private func judge(_ run: ScenarioRun, _ services: [Service], _ size: Int64) throws {
        var all = LogReading()
        for service in services {
            let archives = try LogHistory.archives(of: service.path)
            let wereDeleted = service.file.statistics.rotations - archives.count
            var reading = LogReading()
            try LogHistory.forEachLine(of: service.path) { reading.read($0, $1) }
            reading.end(linesOfEach: service.linesPerStep * steps, writers: Self.writers, isComplete: wereDeleted == 0)
            reading.uncompressed = archives.count { !$0.isCompressed }
            reading.tooMany = max(0, archives.count - keptFiles)
            reading.deleted = wereDeleted
            for problem in reading.problems.prefix(3) { run.say("\(service.name): \(problem)") }
            run.say("\(service.name): \(reading.lines) lines in \(archives.count + 1) files, \(wereDeleted) deleted")
            all.add(reading)
            run.note("lines that the disk did not take", count: service.file.statistics.lost)
        }
        run.note("lines", count: all.lines)
        run.note("lines lost, doubled, torn or out of order", count: all.problems.count)
        run.note("files", count: all.files.count + services.count)
        run.note("files put away", count: services.reduce(0) { $0 + $1.file.statistics.rotations })
        run.note("files deleted", count: all.deleted)
        run.note("files not compressed", count: all.uncompressed)
        run.note("files beyond those that are kept", count: all.tooMany)
        run.note("files that are too long", count: all.sizes.values.count { $0 > size })
        run.note("lines in a file of another day", count: all.misplaced)
        run.note("days", count: Set(all.dates).count)
        // As many as its own lines make, whatever the others do.
        let wrong = zip(services, volumes).count { service, volume in
            let rotations = Double(service.file.statistics.rotations)
            return rotations < volume * 0.7 - 1 || rotations > volume * 1.3 + 2
        }
        run.note("services that rotate with others", count: wrong)
    }

    // MARK: A full disk

    /// Logging on a disk that is full goes on, somebody is told, and it is told once.
    private func fill(_ run: ScenarioRun, _ directory: String, _ time: ManualTime) throws {
        let path = directory + "/full.log"
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
        let alerts = LogBook()
        let logger = alerts.logger()
        let file = try LogFile(path, time: time) { logger.warning("\($0)") }
        defer { file.close() }
        let full = Logger(label: "full") { _ in FileLogHandler(file, time: time) }
        for number in 0..<100 { full.info("line", metadata: ["number": "\(number)"]) }
        run.note("alerts of a full disk", count: alerts.count(.warning))
        run.sometimes("a disk was full", file.statistics.lost == 100)
    }
}
