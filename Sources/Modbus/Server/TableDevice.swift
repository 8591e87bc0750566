import Synchronization

/// A device that is nothing but memory: the four tables, file records, FIFO queues, and everything else that the
/// functions of the specification ask for. It answers all of them.
///
/// It serves as a reference to test clients against, and as the base of a gateway: what a program puts in with
/// ``withContents(_:)`` is what clients read. Every request sees and leaves one consistent state.
///
/// ```swift
/// let device = try TableDevice(.init(size: 10_000, pattern: .index))
/// let server = ModbusServer(configuration: .init(port: 5020), device: device)
/// ```
public final class TableDevice: ModbusDevice {
    /// The configuration the device was made with.
    public let configuration: Configuration

    private let contents: Mutex<Contents>

    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` naming every problem of the configuration.
    public init(_ configuration: Configuration = Configuration()) throws(ModbusError) {
        let problems = configuration.validate()
        guard problems.isEmpty else {
            throw ModbusError(.invalidRequest("device configuration: " + problems.joined(separator: "; ")))
        }
        self.configuration = configuration
        contents = Mutex(Contents(configuration))
    }

    /// Reads or changes what the device holds, while no request is executed.
    public func withContents<Result: Sendable>(_ body: (inout Contents) -> Result) -> Result {
        contents.withLock { body(&$0) }
    }

    /// Answers a request; for a unit that is not among the configured ones, 0B.
    public func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        let isForUs = configuration.units?.contains(unit) ?? true
        let answer = contents.withLock { contents -> Result<ModbusResponse, ModbusException> in
            contents.counters.busMessages &+= 1
            guard isForUs else { return .failure(ModbusException(.gatewayTargetFailedToRespond)) }
            contents.counters.serverMessages &+= 1
            do throws(ModbusException) {
                return .success(try contents.respond(to: request, configuration))
            } catch {
                contents.counters.exceptions &+= 1
                return .failure(error)
            }
        }
        return try answer.get()
    }
}
