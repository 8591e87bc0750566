import Foundation

/// What a process uses at this moment, as the kernel tells it. Linux only: elsewhere every number is `nil`.
public struct ProcessProbe: Hashable, Sendable {
    /// Resident memory, bytes.
    public var residentBytes: Int?
    /// What it shares with no other process, bytes.
    public var privateBytes: Int?
    /// Open file descriptors; sockets are among them.
    public var descriptors: Int?
    /// Sockets among the descriptors.
    public var sockets: Int?
    /// Timers of the kernel among the descriptors. Dispatch opens one for each clock the first time that somebody has to
    /// wait on it, and keeps it.
    public var timers: Int?
    /// All there are.
    public var threads: Int?
    /// Those of Dispatch among them, by their names, which a thread without one of its own has from who began it. Dispatch
    /// begins one more when one is held up, on a busy machine by anything, and ends those that had nothing to do for some
    /// seconds.
    public var workerThreads: Int?
    /// User and system time since it began, seconds.
    public var processorSeconds: Double?
    /// The same of its children that have ended and were waited for, seconds.
    public var endedChildrenProcessorSeconds: Double?
    /// Read from and written to storage, bytes.
    public var readBytes: Int?
    public var writtenBytes: Int?
    /// Both kinds together, of all threads.
    public var contextSwitches: Int?

    /// - Parameter process: `nil` for this one.
    public init(of process: Int32? = nil) {
        let folder = process.map { "/proc/\($0)" } ?? "/proc/self"
        let status = Self.fields(folder + "/status", separator: ":")
        (residentBytes, privateBytes) = (Self.bytes(status["VmRSS"]), Self.bytes(status["RssAnon"]))
        let entries = try? FileManager.default.contentsOfDirectory(atPath: folder + "/fd")
        descriptors = entries?.count
        let targets = entries?.compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/fd/\($0)")
        }
        sockets = targets?.count { $0.hasPrefix("socket:") }
        timers = targets?.count { $0 == "anon_inode:[timerfd]" }
        let io = Self.fields(folder + "/io", separator: ":")
        readBytes = io["read_bytes"].flatMap { Int($0) }
        writtenBytes = io["write_bytes"].flatMap { Int($0) }
        let times = Self.processorTimes(folder)
        (processorSeconds, endedChildrenProcessorSeconds) = (times?.own, times?.endedChildren)
        guard let tasks = Self.tasks(folder) else { return }
        threads = tasks.count
        workerThreads = tasks.count { Self.isWorker($0["Name"] ?? "") }
        contextSwitches = tasks.reduce(0) { sum, status in
            let counts = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"].compactMap { status[$0] }
            return sum + counts.compactMap { Int($0) }.reduce(0, +)
        }
    }

    /// Bytes that this process has allocated and not given back: unlike resident memory, it falls when something is
    /// freed. `nil` where the C library does not tell.
    public static var heapBytes: Int? {
        // The allocator describes itself as XML; by name, since no Swift module has this function.
        guard let symbol = dlsym(UnsafeMutableRawPointer(bitPattern: 0), "malloc_info") else { return nil }
        let describe = unsafeBitCast(symbol, to: (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Int32).self)
        var (buffer, size): (UnsafeMutablePointer<CChar>?, Int) = (nil, 0)
        guard let stream = open_memstream(&buffer, &size) else { return nil }
        let isDescribed = describe(0, UnsafeMutableRawPointer(stream)) == 0
        fclose(stream)
        guard isDescribed, let buffer else { return nil }
        defer { free(buffer) }
        return heapBytes(in: String(cString: buffer))
    }

    /// What was got from the system, less what lies ready to be given out.
    static func heapBytes(in description: String) -> Int? {
        // Behind the parts comes the sum of them.
        guard let end = description.range(of: "</heap>", options: .backwards)?.upperBound else { return nil }
        func size(_ element: String) -> Int? {
            guard let place = description.range(of: element, range: end..<description.endIndex),
                let size = description.range(of: "size=\"", range: place.upperBound..<description.endIndex)
            else { return nil }
            return Int(description[size.upperBound...].prefix { $0.isNumber })
        }
        guard let system = size("<system type=\"current\""), let fast = size("<total type=\"fast\""),
            let rest = size("<total type=\"rest\""), let mapped = size("<total type=\"mmap\"")
        else { return nil }
        return system + mapped - fast - rest
    }

    private static func fields(_ path: String, separator: Character) -> [String: String] {
        var fields: [String: String] = [:]
        for line in text(path).split(separator: "\n") {
            let parts = line.split(separator: separator, maxSplits: 1)
            if parts.count == 2 { fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces) }
        }
        return fields
    }

    /// What the kernel says in units of 1024 bytes, as `1234 kB`.
    private static func bytes(_ size: String?) -> Int? {
        size.flatMap { Int($0.split(separator: " ").first ?? "") }.map { $0 * 1024 }
    }

    /// Processes whose parent is this one, at this moment; none where nobody tells.
    public static func children(of process: Int32) -> [Int32] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { Int32($0) }.filter { statistics("/proc/\($0)")?.dropFirst().first == "\(process)" }
    }

    /// Fields 14 to 17 of `stat`, in seconds.
    private static func processorTimes(_ folder: String) -> (own: Double, endedChildren: Double)? {
        guard let fields = statistics(folder), fields.count > 14 else { return nil }
        let times = fields[11...14].compactMap { Double($0) }.map { $0 / Double(sysconf(Int32(_SC_CLK_TCK))) }
        return times.count == 4 ? (times[0] + times[1], times[2] + times[3]) : nil
    }

    /// The fields of `stat` from the third on, which stand behind the name in parentheses; that may hold anything.
    private static func statistics(_ folder: String) -> [String]? {
        let line = text(folder + "/stat")
        guard let end = line.lastIndex(of: ")") else { return nil }
        return line[line.index(after: end)...].split(separator: " ").map(String.init)
    }

    /// What the kernel says of each thread; one that ends while we look is left out.
    private static func tasks(_ folder: String) -> [[String: String]]? {
        let tasks = try? FileManager.default.contentsOfDirectory(atPath: folder + "/task")
        return tasks?.map { fields("\(folder)/task/\($0)/status", separator: ":") }.filter { !$0.isEmpty }
    }

    /// Dispatch calls a thread after the root queue that it serves, by the last 15 characters: the kernel keeps no more.
    static func isWorker(_ name: String) -> Bool { name.hasSuffix("-qos") || name.hasSuffix("-qos.overcommit") }

    private static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
