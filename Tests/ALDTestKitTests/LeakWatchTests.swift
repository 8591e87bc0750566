import ALDCore
import Foundation
import Testing

@testable import ALDTestKit

/// The checkers of the stability scenarios, with planted bugs.
@Suite("What watches for leaks") struct LeakWatchTests {
    @Test("a socket that its peer has closed and we have not is seen as half-closed")
    func halfClosed() async throws {
        try #require(ProcessProbe().descriptors != nil, "only Linux tells")
        let listener = try ListeningSocket()
        defer { close(listener.descriptor) }
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        address.sin_port = in_port_t(UInt16(listener.port).bigEndian)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
        close(accept(listener.descriptor, nil, nil))
        try await eventually("it is half-closed") { (ProcessProbe.sockets(in: .closeWait) ?? 0) > 0 }
        #expect((ProcessProbe.sockets(in: .listening) ?? 0) > 0)
        let states = try #require(ProcessProbe.sockets())
        #expect((states[.closeWait] ?? 0) > 0 && (states[.listening] ?? 0) > 0, "\(states)")
    }

    @Test("a thread of ours is counted, those of Dispatch are told apart by their names")
    func threads() throws {
        #expect(ProcessProbe.isWorker("r-initiated-qos") && ProcessProbe.isWorker("-qos.overcommit"))
        #expect(!ProcessProbe.isWorker("NIO-SGLTN-1-#1") && !ProcessProbe.isWorker("ald.spool"))
        // Another process: in ours other tests begin threads, too.
        let child = Process()
        child.executableURL = URL(fileURLWithPath: "/bin/sleep")
        child.arguments = ["60"]
        try child.run()
        defer { child.terminate() }
        let probe = ProcessProbe(of: child.processIdentifier)
        try #require(probe.descriptors != nil, "only Linux tells")
        #expect(probe.threads == 1 && probe.workerThreads == 0)
        // This one has workers: Swift's tasks run on them.
        let own = ProcessProbe()
        let (all, workers) = (try #require(own.threads), try #require(own.workerThreads))
        #expect(workers > 0 && all > workers)
        #expect((own.contextSwitches ?? 0) > 0)
    }

    @Test("the children of a process are found, and what those that have ended have used")
    func children() async throws {
        try #require(ProcessProbe().descriptors != nil, "only Linux tells")
        let script = "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); sleep 600 & echo begun; wait"
        let result = try await ChildProcess.run("/bin/sh", ["-c", script]) { shell in
            try await eventually("the busy one has ended", within: .seconds(120)) { !shell.output.isEmpty }
            let sleepers = ProcessProbe.children(of: shell.processIdentifier)
            defer { for sleeper in sleepers { kill(sleeper, SIGTERM) } }
            let probe = ProcessProbe(of: shell.processIdentifier)
            #expect(sleepers.count == 1 && (probe.privateBytes ?? 0) > 0)
            #expect((probe.endedChildrenProcessorSeconds ?? 0) > (probe.processorSeconds ?? 0))
        }
        #expect(result.exitCode == 0, "\(result.transcript)")
    }

    @Test("what every operation keeps is found out, what it gives back is not")
    func heap() {
        // In a scenario nobody else uses the process; here the numbers are given.
        var watch = LeakWatch(warmUp: 0)
        for round in 0..<20 {
            watch.look(after: round * 100, at: Double(round), others: ["kept": round * 100 * 64 + round % 3])
        }
        #expect(abs((watch.perOperation("kept") ?? 0) - 64) < 1)
        #expect((watch.perHour("kept") ?? 0) > 20_000_000)
        var flat = LeakWatch()
        for round in 0..<20 {
            flat.look(after: round, at: Double(round), others: ["kept": round < 5 ? round * 1000 : 5000])
        }
        #expect(flat.gained("kept") == 0 && flat.growth("kept") == 0)
        #expect(flat.gained("nobody knows") == nil)
    }

    @Test("a single outlier is no trend")
    func outlier() {
        var watch = LeakWatch(warmUp: 0)
        for round in 0..<20 { watch.look(after: round, at: Double(round), others: ["open": round == 19 ? 90 : 7]) }
        #expect(watch.gained("open") == 0)
    }

    // MARK: Logs

    private func line(_ number: Int, second: Int = 0) -> String {
        "2026-01-01T00:00:0\(second).000000Z debug cycle number=\(number) what=xx writer=0 x=end"
    }

    private func problems(_ lines: [String], isComplete: Bool = true) -> Int {
        var reading = LogReading()
        for line in lines { reading.read(line, nil) }
        reading.end(linesOfEach: 5, writers: 1, isComplete: isComplete)
        return reading.problems.count
    }

    @Test("a line of a log that is lost, doubled, torn or out of order is found out")
    func lines() {
        let good = (0..<5).map { line($0) }
        #expect(problems(good) == 0)
        #expect(problems([good[0], good[1], good[3], good[4]]) == 1)
        #expect(problems([good[0], good[1], good[1], good[2], good[3], good[4]]) == 1)
        #expect(problems([good[0], good[2], good[1], good[3], good[4]]) > 0)
        #expect(problems(Array(good.dropLast())) == 1)
        #expect(problems(Array(good.dropFirst())) == 1)
        #expect(problems(Array(good.dropFirst()), isComplete: false) == 0)
        #expect(problems([good[0], String(good[1].dropLast(4)), good[2], good[3], good[4]]) > 0)
        #expect(
            problems([line(0), line(1, second: 5), line(2, second: 4), line(3, second: 5), line(4, second: 5)]) == 1)
    }

    @Test("a line in a file of another day, and a file that is too long, are found out")
    func files() throws {
        let archive = try #require(LogArchive(name: "a.log.2026-01-02.000001.gz", of: "a.log", bytes: 9))
        var reading = LogReading()
        reading.read(line(0), archive)
        #expect(reading.misplaced == 1 && reading.sizes[archive.name] == Int64(line(0).utf8.count + 1))
    }
}
