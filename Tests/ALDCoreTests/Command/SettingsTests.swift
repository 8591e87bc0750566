import ALDCore
import ALDTestKit
import Foundation
import Testing

@testable import ald

@Suite("Settings") struct SettingsTests {
    private func read(
        _ options: [SettingKey: String] = [:], file: String? = nil, environment: [String: String] = [:]
    ) async throws -> Settings {
        try SettingsReader(options: options, file: file, environment: environment).settings()
    }

    private func complaint(
        _ options: [SettingKey: String] = [:], file: String? = nil, environment: [String: String] = [:]
    ) async -> String {
        do {
            _ = try await read(options, file: file, environment: environment)
            return "accepted"
        } catch {
            return Failure(error).message
        }
    }

    @Test("without any settings there is a private database and a simulated machine")
    func defaults() async throws {
        let settings = try await read()
        #expect(settings.dataDirectory == ".ald" && settings.databaseURL == nil && settings.controller == nil)
        #expect(settings.period == .seconds(1) && settings.duration == nil && settings.machineID == 1)
    }

    @Test("an option beats the environment, the environment beats the file")
    func layers() async throws {
        try await withTemporaryDirectory { directory in
            let file = directory + "/plant.json"
            try Data(
                #"{"plc": "10.0.0.1:1502", "period": "2s", "machineId": 7, "duration": 90, "simulatorSeed": 18446744073709551615}"#
                    .utf8
            )
            .write(to: URL(fileURLWithPath: file))
            let environment = ["ALD_PERIOD": "3s", "ALD_PLC_UNIT": "9", "ALD_CONFIG": file]
            let settings = try await read([.period: "250ms"], environment: environment)
            #expect(settings.period == .milliseconds(250) && settings.unit == 9 && settings.machineID == 7)
            #expect(settings.controller == Settings.Controller(host: "10.0.0.1", port: 1502))
            #expect(settings.duration == .seconds(90) && settings.simulatorSeed == .max)
            #expect(try await read(environment: environment).period == .seconds(3))
        }
    }

    @Test(
        "a controller is named as host, host:port or [IPv6]:port",
        arguments: [
            ("plc.local", Settings.Controller(host: "plc.local", port: 502)),
            ("10.0.0.5:1502", Settings.Controller(host: "10.0.0.5", port: 1502)),
            ("[::1]:1502", Settings.Controller(host: "::1", port: 1502)),
            ("[fe80::1]", Settings.Controller(host: "fe80::1", port: 502)),
            ("", nil), (":502", nil), ("host:", nil), ("host:0", nil), ("host:65536", nil), ("::1", nil),
            ("[::1]x", nil), ("a b:502", nil),
        ] as [(String, Settings.Controller?)])
    func controllers(text: String, expected: Settings.Controller?) async throws {
        if let expected {
            #expect(try await read([.plc: text]).controller == expected)
        } else {
            #expect(await complaint([.plc: text]) == "--plc: \"\(text)\" is not host:port, for instance 10.0.0.5:502")
        }
    }

    @Test("everything that is wrong is reported at once, each with where it came from")
    func allProblems() async {
        let complaint = await complaint(
            [.period: "soon", .simulatorPort: "70000"],
            environment: ["ALD_WORD_ORDER": "pdp", "ALD_MACHINE_ID": "0", "ALD_LOG_LEVEL": "loud"])
        #expect(complaint.hasPrefix("5 settings are wrong:"))
        for expected in [
            "--period: \"soon\" is not a duration", "--simulator-port: \"70000\" is not a number from 0 to 65535",
            "ALD_WORD_ORDER: \"pdp\" is not one of abcd, badc, cdab, dcba",
            "ALD_MACHINE_ID: \"0\" is not a number from 1", "ALD_LOG_LEVEL: \"loud\" is not one of trace",
        ] { #expect(complaint.contains(expected), "\(complaint)") }
    }

    @Test(
        "a settings file that is none, or names a setting that does not exist, is refused",
        arguments: [
            ("{\"plc\": ", "is not JSON"), ("[1]", "expected one JSON object"),
            ("{\"plcc\": \"10.0.0.5\"}", "unknown setting plcc; known are dataDirectory"),
            ("{\"plc\": {\"host\": \"x\"}}", "plc: expected text or a number"),
            ("{\"period\": true}", "period: expected text or a number"), ("", "is not JSON"),
            ("{\"machineId\": 1.5}", "machineId: \"1.5\" is not a number from 1"),
        ])
    func files(content: String, expected: String) async throws {
        try await withTemporaryDirectory { directory in
            let file = directory + "/plant.json"
            try Data(content.utf8).write(to: URL(fileURLWithPath: file))
            let complaint = await complaint(file: file)
            #expect(complaint.hasPrefix(file) || complaint.contains("\(file):"), "\(complaint)")
            #expect(complaint.contains(expected), "\(complaint)")
        }
        #expect(
            await complaint(file: "/nowhere/plant.json")
                == "/nowhere/plant.json: cannot be read: No such file or directory")
        #expect(await complaint(file: "/") == "/: cannot be read: it is a directory")
    }

    @Test("a log file's size and space are written as people write sizes")
    func logFiles() async throws {
        let settings = try await read(
            [.logFile: "log/{service}.log", .logSize: "10MB"],
            environment: ["ALD_LOG_SPACE": "1.5 GB", "ALD_LOG_KEEP": "3"])
        #expect(settings.logFile == "log/{service}.log" && settings.logRotation.maximumBytes == 10_000_000)
        #expect(settings.logRotation.keptBytes == 1_500_000_000 && settings.logRotation.keptFiles == 3)
        #expect(await complaint([.logSize: "much"]) == "--log-size: \"much\" is not a size such as 100MB or 1GB")
        for text in ["0", "-1", "1e3", "MB", "", "1TB"] {
            #expect(await complaint([.logSize: text]).contains("is not a size"))
        }
    }

    @Test("the help names every setting and fits a terminal of 80 columns")
    func help() {
        for key in SettingKey.allCases {
            #expect(SettingsHelp.text.contains(SettingsReader.variable(key)), "\(key) is not in the help")
        }
        #expect(SettingsHelp.text.split(separator: "\n").allSatisfy { $0.count < 79 })
    }

    @Test("a misspelt variable is pointed out")
    func misspelt() async throws {
        let reader = try SettingsReader(
            options: [:], file: nil, environment: ["ALD_DATABSE_URL": "x", "ALD_SLOW": "1", "PATH": "/bin"])
        #expect(reader.warnings == ["environment variable ALD_DATABSE_URL is not known and has no effect"])
    }

    @Test(
        "durations are written as people write them",
        arguments: [
            ("30", .seconds(30)), ("30s", .seconds(30)), ("250ms", .milliseconds(250)), ("1.5m", .seconds(90)),
            (" 2h", .seconds(7200)), ("0", nil), ("-1s", nil), ("6d", .seconds(518_400)), ("1w", nil), ("s", nil),
            ("nan", nil), ("1e99", nil),
        ] as [(String, Duration?)])
    func durations(text: String, expected: Duration?) {
        #expect(DurationText.parse(text) == expected)
    }
}
