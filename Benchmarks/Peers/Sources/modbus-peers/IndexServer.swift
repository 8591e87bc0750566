import Foundation
import Modbus

/// Our server with the content that the libmodbus server of `Fixtures/Modbus/Peers` has.
enum IndexServer {
    static func run() async throws {
        let server = ModbusServer(device: try TableDevice(.init(size: 10_000, pattern: .index)))
        let port = try await server.start()
        FileHandle.standardOutput.write(Data("listening \(port)\n".utf8))
        // This task has nothing else to do, and the connections have threads of their own.
        _ = try FileHandle.standardInput.readToEnd()
        await server.stop()
    }
}
