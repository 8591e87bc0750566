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

    var unheeded: [RunOption: String] { [.scale: "the volume of the logs is that of the requirement"] }

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
            for service in services { service.file.close() }
            var account = RotationAccount(policy: policy(size), most: most)
            account.services = try zip(services, volumes).map { try read($0, volume: $1) }
            if fillsADisk { account.full = try fill(directory, time) }
            account.note(run)
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
            // What an hour brings is compressed within the hour, which takes no time here.
            for service in services where !service.file.finishArchives(within: .seconds(120)) {
                run.fail("\(service.name) is not compressed")
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

    private func read(_ service: Service, volume: Double) throws -> RotationAccount.Service {
        var account = RotationAccount.Service(
            name: service.name, volume: volume, rotations: service.file.statistics.rotations,
            lost: service.file.statistics.lost, archives: try LogHistory.archives(of: service.path))
        try LogHistory.forEachLine(of: service.path) { account.reading.read($0, $1) }
        account.reading.end(
            linesOfEach: service.linesPerStep * steps, writers: Self.writers,
            isComplete: account.deletable(keeping: keptFiles) == 0)
        return account
    }

    // MARK: A full disk

    /// Logging on a disk that is full goes on, somebody is told, and it is told once.
    private func fill(_ directory: String, _ time: ManualTime) throws -> RotationAccount.Full {
        let path = directory + "/full.log"
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
        let alerts = LogBook()
        let logger = alerts.logger()
        let file = try LogFile(path, time: time) { logger.warning("\($0)") }
        defer { file.close() }
        let full = Logger(label: "full") { _ in FileLogHandler(file, time: time) }
        for number in 0..<100 { full.info("line", metadata: ["number": "\(number)"]) }
        return RotationAccount.Full(lines: 100, lost: file.statistics.lost, alerts: alerts.count(.warning))
    }
}
