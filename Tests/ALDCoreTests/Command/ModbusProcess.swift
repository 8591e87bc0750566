import ALDTestKit
import Foundation
import Testing

/// `ald modbus` as a script runs it.
enum ModbusProcess {
    /// Runs one command to its end, or until `body` has ended it. A client that is not told how long to wait waits ten
    /// seconds: its default of one is the time of a device, not of a machine full of tests.
    static func run(
        _ arguments: [String], _ body: (RunningChild) async throws -> Void = { _ in }
    ) async throws -> ChildResult {
        let isPatient = arguments.first == "serve" || arguments.contains("--timeout")
        return try await ChildProcess.run(
            try Executables.ald(), ["modbus"] + arguments + (isPatient ? [] : ["--timeout", "10s"]), body)
    }

    /// Runs `body` while `ald modbus serve` serves, and ends it with a signal.
    ///
    /// - Returns: how the server ended.
    @discardableResult
    static func serving(
        _ arguments: [String] = [], endedBy signal: Int32 = SIGTERM, _ body: (_ port: String) async throws -> Void
    ) async throws -> ChildResult {
        try await run(["serve", "--port", "0", "--json"] + arguments) { server in
            try await eventually("the server is ready") { !server.output.isEmpty }
            struct Ready: Decodable {
                var event: String
                var port: Int
            }
            let ready = try JSONDecoder().decode(Ready.self, from: Data(server.output[0].utf8))
            #expect(ready.event == "ready")
            try await body("\(ready.port)")
            server.send(signal)
        }
    }
}
