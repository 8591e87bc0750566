/// Files that decide and never act: the state machines, codecs and schedules that a test, a driver and the simulated
/// world all run alike. Time and chance come to them as arguments.
extension TidyRules {
    /// The exceptions, each with the words that it may use. One that is no longer needed is reported.
    static let pureFileExceptions: [String: Set<String>] = [
        // Declares the waiting that everything else is handed: it must say `async`, but it reads no clock.
        "Sources/ALDCore/Foundations/TimeSource.swift": ["TimeSource", "async", "await"],
        // The doorbell that drivers wait on, and its alarm: they are told by a clock, but decide nothing.
        "Sources/ALDCore/Foundations/Alarm.swift": ["TimeSource"],
        "Sources/ALDCore/Foundations/Wakeup.swift": ["Task", "TimeSource", "async", "await"],
        // Waits for a body and for what cleans up after it; decides nothing.
        "Sources/ALDCore/Foundations/Cleanup.swift": ["async", "await"],
        // The thin drivers of the resilience kit: they wait and lock, and leave every decision to the values beside them.
        "Sources/ALDCore/Resilience/Retrying.swift": ["TimeSource", "async", "await", "withThrowingTaskGroup"],
        "Sources/ALDCore/Resilience/SharedCircuitBreaker.swift": ["TimeSource", "async", "await"],
        // The one place in ALDCore where the machine's clocks are read.
        "Sources/ALDCore/Foundations/SystemTime.swift": [
            "ContinuousClock", "SystemTime", "Task", "TimeSource", "async", "await", "clock_gettime", "now",
        ],
    ]

    static func isPure(_ path: String) -> Bool {
        guard path.hasPrefix("Sources/") else { return false }
        let folders = [
            "Sources/Modbus/Protocol/", "Sources/Modbus/Planning/", "Sources/ALDCore/Foundations/",
            "Sources/ALDCore/Resilience/",
        ]
        return folders.contains { path.hasPrefix($0) } || path.hasSuffix("Machine.swift")
            || path.hasSuffix("Schedule.swift")
    }

    static func pureFiles(_ file: TidyFile) -> [TidyProblem] {
        guard isPure(file.path) else { return [] }
        let allowed = pureFileExceptions[file.path] ?? []
        return impurities(of: file).filter { !allowed.contains($0.word) }.map { impurity in
            TidyProblem(
                path: file.path, line: impurity.line,
                message: "`\(impurity.word)` is \(impurity.kind), in a file that only decides; \(impurity.kind.remedy)")
        }
    }

    static func unneededExceptions(_ files: [TidyFile]) -> [TidyProblem] {
        pureFileExceptions.flatMap { path, words -> [TidyProblem] in
            let used = files.first { $0.path == path }.map { Set(impurities(of: $0).map(\.word)) } ?? []
            return words.subtracting(used).map { word in
                TidyProblem(
                    path: path, line: 1,
                    message: "no longer uses `\(word)`; remove it from TidyRules.pureFileExceptions")
            }
        }
    }

    private enum Impurity: CustomStringConvertible {
        case clock, task, socket, chance, output

        var description: String {
            switch self {
            case .clock: "a clock"
            case .task: "concurrency"
            case .socket: "a socket"
            case .chance: "a source of chance"
            case .output: "output"
            }
        }

        var remedy: String {
            switch self {
            case .clock: "take `now` as an argument"
            case .task: "return an action, and let the driver await it"
            case .socket: "return bytes and actions, and let the driver send them"
            case .chance: "take a generator as an argument (`inout some RandomNumberGenerator`, `using:`)"
            case .output: "return what happened, and let the driver log it"
            }
        }
    }

    private static let words: [String: Impurity] = [
        "ContinuousClock": .clock, "SuspendingClock": .clock, "clock_gettime": .clock, "DispatchTime": .clock,
        "DispatchWallTime": .clock, "TimeSource": .clock, "SystemTime": .clock, "gettimeofday": .clock,
        "Task": .task, "TaskGroup": .task, "ThrowingTaskGroup": .task, "DiscardingTaskGroup": .task,
        "ThrowingDiscardingTaskGroup": .task, "withTaskGroup": .task, "withThrowingTaskGroup": .task,
        "withDiscardingTaskGroup": .task, "withThrowingDiscardingTaskGroup": .task, "async": .task, "await": .task,
        "NIOPosix": .socket, "SystemRandomNumberGenerator": .chance, "arc4random": .chance,
    ]

    private static func impurities(of file: TidyFile) -> [(word: String, line: Int, kind: Impurity)] {
        file.tokens.indices.compactMap { index in
            let token = file.tokens[index]
            guard token.kind == .word, let kind = impurity(index, of: file) else { return nil }
            return (token.text, token.line, kind)
        }
    }

    private static func impurity(_ index: Int, of file: TidyFile) -> Impurity? {
        let word = file.tokens[index].text
        if let kind = words[word] { return kind }
        let isMember = file.text(index - 1) == "."
        let isDeclared = ["func", "case"].contains(file.text(index - 1) ?? "")
        let isCalled = file.text(index + 1) == "("
        switch word {
        case "now" where isMember && (isCalled || file.text(index - 2) == "NIODeadline"): return .clock
        case "Date" where isCalled: return .clock
        case "socket" where isCalled && !isMember && !isDeclared: return .socket
        case "print" where isCalled && !isMember && !isDeclared: return .output
        case "random", "randomElement", "shuffled", "shuffle":
            return isMember && isCalled && !arguments(index + 1, of: file).contains("using") ? .chance : nil
        case _ where word.hasSuffix("Bootstrap"): return .socket
        default: return nil
        }
    }

    /// The words between the parenthesis at `open` and the one that closes it.
    private static func arguments(_ open: Int, of file: TidyFile) -> Set<String> {
        var nesting = 0
        var words: Set<String> = []
        for token in file.tokens[open...] {
            if token.text == "(" { nesting += 1 }
            if token.text == ")" { nesting -= 1 }
            if nesting == 0 { break }
            words.insert(token.text)
        }
        return words
    }
}
