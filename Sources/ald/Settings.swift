import ALDCore
import Logging
import Modbus

/// A setting's name in a file; its environment variable follows from it (`plcUnit`: `ALD_PLC_UNIT`).
enum SettingKey: String, CaseIterable, Sendable {
    case dataDirectory, databaseUrl, duration, interlocks, logFile, logKeep, logLevel, logSize, logSpace, machine,
        machineId, machineName, parameters, period, plc
    case plcUnit, postgresBin, simulatorPort, simulatorSeed, wordOrder
}

/// Everything `ald` can be told, checked.
struct Settings: Sendable {
    struct Controller: Hashable, Sendable {
        var host: String
        var port: Int
    }

    var dataDirectory = ".ald"
    var databaseURL: String?
    /// Where the private server's programs are; `nil` looks in the usual places.
    var postgresBin: String?
    var machineFile = "Fixtures/Machine/machine-51.csv"
    var machineID: Int32 = 1
    var machineName = "ALD-1"
    /// What must never happen on the machine, a YAML file; `nil`: what is cautious for any.
    var interlocksFile: String?
    var parameters: [String] = []
    var controller: Controller?
    var unit: UInt8 = 1
    var wordOrder = WordOrder.cdab
    var period: Duration = .seconds(1)
    var duration: Duration?
    var simulatorPort = 0
    var simulatorSeed: UInt64 = 1
    var logLevel = Logger.Level.notice
    /// Where the log goes; `nil`: to standard error.
    var logFile: String?
    var logRotation = LogRotation.Policy()

    init() {}

    /// Everything that the machine has.
    func registerMap() throws -> RegisterMap { try RegisterMap(file: machineFile, wordOrder: wordOrder) }

    /// What is to be recorded of `map`. Recipes, commands and interlocks know all of it nonetheless.
    func collected(of map: RegisterMap) throws -> RegisterMap {
        parameters.isEmpty ? map : try map.restricted(to: parameters)
    }

    /// What must never happen on the machine with this register map.
    func interlocks(on map: RegisterMap) throws(ConfigurationProblems) -> Interlocks {
        try interlocksFile.map { path throws(ConfigurationProblems) in try Interlocks(path: path, map: map) }
            ?? .cautious(on: map)
    }

    /// When and how long to collect.
    var collecting: DataCollectionService.Configuration {
        var configuration = DataCollectionService.Configuration()
        configuration.period = period
        configuration.duration = duration
        return configuration
    }

    /// - Parameter value: where a setting comes from and what it says; `nil` when nobody gave it.
    /// - Throws: every setting that makes no sense, with where it came from.
    init(_ value: (SettingKey) -> GivenSetting?) throws(ConfigurationProblems) {
        var problems: [String] = []
        /// Parses one setting if it was given; what cannot be parsed is reported with what was expected.
        func read<Value>(
            _ key: SettingKey, expected: String, secret: Bool = false, _ parse: (String) -> Value?
        ) -> Value? {
            guard let given = value(key) else { return nil }
            if let parsed = parse(given.text) { return parsed }
            problems.append("\(given.source): \(secret ? "the value" : "\"\(given.text)\"") is not \(expected)")
            return nil
        }
        func text(_ key: SettingKey, _ what: String) -> String? {
            read(key, expected: what) { $0.isEmpty ? nil : $0 }
        }
        func number<Number: FixedWidthInteger>(_ key: SettingKey, _ range: ClosedRange<Number>) -> Number? {
            read(key, expected: "a number from \(range.lowerBound) to \(range.upperBound)") { text in
                Number(text).flatMap { range.contains($0) ? $0 : nil }
            }
        }
        let orders = WordOrder.allCases.map { "\($0)" }.joined(separator: ", ")
        let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
        dataDirectory = text(.dataDirectory, "a directory") ?? dataDirectory
        databaseURL = read(.databaseUrl, expected: "a connection string", secret: true) { $0.isEmpty ? nil : $0 }
        postgresBin = text(.postgresBin, "a directory")
        machineFile = text(.machine, "a file") ?? machineFile
        interlocksFile = text(.interlocks, "a file")
        machineID = number(.machineId, 1...Int32.max) ?? machineID
        machineName = text(.machineName, "a name") ?? machineName
        parameters =
            read(.parameters, expected: "a list of parameter names") { text in
                let names = text.split(separator: ",").map { $0.trimmingPrefix(while: \.isWhitespace).description }
                return names.isEmpty ? nil : names
            } ?? []
        controller = read(.plc, expected: "host:port, for instance 10.0.0.5:502", Self.controller)
        unit = number(.plcUnit, 0...255) ?? unit
        wordOrder =
            read(.wordOrder, expected: "one of \(orders)") { name in
                WordOrder.allCases.first { "\($0)" == name.lowercased() }
            } ?? wordOrder
        period = read(.period, expected: "a duration such as 1s or 100ms", DurationText.parse) ?? period
        duration = read(.duration, expected: "a duration such as 30s or 5m", DurationText.parse)
        simulatorPort = number(.simulatorPort, 0...65_535) ?? simulatorPort
        simulatorSeed = number(.simulatorSeed, 0...UInt64.max) ?? simulatorSeed
        logLevel = read(.logLevel, expected: "one of \(levels)") { Logger.Level(rawValue: $0.lowercased()) } ?? logLevel
        func size(_ key: SettingKey) -> Int64? {
            read(key, expected: "a size such as 100MB or 1GB") { text in
                ByteText.parse(text).flatMap { $0 > 0 ? $0 : nil }
            }
        }
        logFile = text(.logFile, "a file")
        logRotation.maximumBytes = size(.logSize) ?? logRotation.maximumBytes
        logRotation.keptBytes = size(.logSpace) ?? logRotation.keptBytes
        logRotation.keptFiles = number(.logKeep, 0...10_000) ?? logRotation.keptFiles
        if let problems = ConfigurationProblems(problems) { throw problems }
    }

    /// `host:port`, or `host` alone for the standard port. An IPv6 address stands in brackets.
    private static func controller(_ text: String) -> Controller? {
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            return controller(host: host, port: rest.isEmpty ? nil : rest.hasPrefix(":") ? rest.dropFirst() : "invalid")
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { return nil }
        return controller(host: String(parts[0]), port: parts.count == 2 ? parts[1] : nil)
    }

    private static func controller(host: String, port: Substring?) -> Controller? {
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { return nil }
        guard let port else { return Controller(host: host, port: 502) }
        guard let number = Int(port), (1...65_535).contains(number) else { return nil }
        return Controller(host: host, port: number)
    }
}

/// What somebody said about a setting, and where.
struct GivenSetting: Sendable {
    var text: String
    /// For messages: "--plc", "ALD_PLC", "plant.json: plc".
    var source: String
}
