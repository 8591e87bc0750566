import ALDCore
import Foundation
import Logging

/// A log without pause that is put away and compressed again and again. What is judged: the process holds as many files
/// open at the end as at the beginning, and as many threads.
struct LogLeaks: ScenarioWork {
    private static let looks = 30

    var unheeded: [RunOption: String] { [.scale: "the log is written without pause"] }

    func run(_ run: ScenarioRun) async throws {
        // The runtime opens a timer for the first sleep of a process, and keeps it.
        try await run.time.sleep(for: .milliseconds(1))
        let before = ProcessProbe()
        try await VirtualPlant.withDirectory(run) { directory in
            var watch = LeakWatch()
            var policy = LogRotation.Policy()
            (policy.maximumBytes, policy.keptFiles) = (20_000, 5)
            let file = try LogFile(directory + "/log/ald.log", policy: policy) { run.fail($0) }
            defer { file.close() }
            let logger = Logger(label: "ald.leaks") { _ in FileLogHandler(file) }
            let beginning = run.time.now
            var lines = 0
            for look in 0..<Self.looks {
                let end = beginning + run.duration * (look + 1) / Self.looks
                // Without pause for a short run; for hours ten lines a second.
                repeat {
                    for _ in 0..<(run.duration < .hours(1) ? 20 : 1) {
                        lines += 1
                        logger.info("line", metadata: ["number": "\(lines)", "what": "as long as a line of a log is"])
                    }
                    try await run.time.sleep(for: .milliseconds(run.duration < .hours(1) ? 1 : 100))
                } while run.time.now < end
                _ = file.finishArchives(within: .seconds(10))
                watch.look(after: lines, at: (run.time.now - beginning).inSeconds)
            }
            run.note("lines", count: lines)
            run.note("lines lost", count: lines - file.statistics.written)
            run.note("log files put away", count: file.statistics.rotations)
            watch.noteCounts(run, [LeakWatch.descriptors, LeakWatch.threads])
        }
        if let before = before.descriptors, let after = ProcessProbe().descriptors {
            run.note("descriptors left", count: max(0, after - before))
        }
    }
}
