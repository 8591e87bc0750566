import ALDCore
import Foundation
import Logging
import Modbus

/// The simulated machine of a data directory: the first terminal that needs it serves it, the others connect to it, as
/// they would to a real one.
struct SharedSimulator {
    private let descriptor: Int32
    private let server: ModbusServer?
    let port: Int

    /// How long a terminal that has just taken the machine may take to serve it.
    private static let patience: Duration = .seconds(5)

    /// - Throws: ``Failure`` when the file cannot be used or whoever has it does not serve; what serving throws.
    static func open(
        directory: String, map: RegisterMap, settings: Settings, time: any TimeSource, logger: Logger
    ) async throws -> SharedSimulator {
        let path = directory + "/simulator-machine\(settings.machineID).lock"
        let descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Failure(.configuration, "\(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        do {
            let deadline = time.now + patience
            while true {
                if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
                    // At once: what a killed process has left here is nobody's port any more.
                    ftruncate(descriptor, 0)
                    let device = SimulatedPLC(map, seed: settings.simulatorSeed, time: time)
                    let server = ModbusServer(
                        configuration: .init(port: settings.simulatorPort), device: device, logger: logger)
                    let port = try await server.start()
                    let text = Array("\(port)\n".utf8)
                    pwrite(descriptor, text, text.count, 0)
                    return SharedSimulator(descriptor: descriptor, server: server, port: port)
                }
                var bytes = [UInt8](repeating: 0, count: 16)
                let count = max(pread(descriptor, &bytes, bytes.count, 0), 0)
                let text = String(decoding: bytes[..<count], as: UTF8.self)
                if text.hasSuffix("\n"), let port = Int(text.dropLast()) {
                    Foundation.close(descriptor)
                    return SharedSimulator(descriptor: -1, server: nil, port: port)
                }
                guard time.now < deadline else {
                    throw Failure(.temporary, "\(path): somebody has the simulated machine and does not serve it")
                }
                try await time.sleep(for: .milliseconds(50))
            }
        } catch {
            Foundation.close(descriptor)
            throw error
        }
    }

    func close() async {
        await server?.stop()
        if descriptor >= 0 { Foundation.close(descriptor) }
    }
}
