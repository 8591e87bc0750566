import ALDTestKit
import Foundation
import NIOCore
import Testing

@testable import Modbus

@Suite("Why no connection was made", .timeLimit(.minutes(1)))
struct ConnectFailureTests {
    /// How a read of a device called `device` ends when nothing connects and nothing is tried twice.
    private func reasonOfFailure(
        resolve: @escaping HostLookup.Resolve
    ) async -> ModbusError.Code? {
        let rig = DriverRig(port: 1) { configuration, loop in
            var configuration = configuration
            configuration.host = "device"
            return ClientChannel.dial(configuration, on: loop, resolve: resolve)
        }
        async let outcome = rig.read()
        for await state in rig.status.states() {
            guard case .down(let error) = state, error.code != .notConnected else { continue }
            await rig.close()
            _ = await outcome
            return error.code
        }
        return nil
    }

    @Test("the system's words, and nothing of how they were come by")
    func systemErrors() {
        let refused = ConnectFailure(IOError(errnoCode: ECONNREFUSED, reason: "connection reset (error set)"))
        #expect(refused == ConnectFailure(.refused, "Connection refused"))
        let silent = ConnectFailure(IOError(errnoCode: ETIMEDOUT, reason: "connect"))
        #expect(silent == ConnectFailure(.noAnswer, "Connection timed out"))
        let slow = ConnectFailure(ChannelError.connectTimeout(.milliseconds(1500)))
        #expect(slow == ConnectFailure(.noAnswer, "no answer within 1500 ms"))
        let other = ConnectFailure(TLSProblem("the peer does not speak TLS"))
        #expect(other.obstacle == .refused && other.reason == "the peer does not speak TLS")
    }

    @Test("a name without an address is refused, whatever the name is, and told once")
    func noAddress() async {
        let code = await reasonOfFailure { _, _ in throw HostLookupError(host: "timeout.example", reason: "unknown") }
        let reason = "no address for timeout.example: unknown; check the name, or configure an address"
        #expect(code == .connectionFailed(.refused, reason: reason))
    }

    @Test("of a name with several addresses each is named with its own reason")
    func severalAddresses() async throws {
        let (one, two) = (try ListeningSocket(accepts: false), try ListeningSocket(accepts: false))
        defer { for socket in [one, two] { Foundation.close(socket.descriptor) } }
        let code = await reasonOfFailure { _, _ in
            try [one, two].map { try SocketAddress(ipAddress: "127.0.0.1", port: $0.port) }
        }
        let reason = "127.0.0.1: Connection refused; 127.0.0.1: Connection refused"
        #expect(code == .connectionFailed(.refused, reason: reason))
    }

    @Test("of a name with one address the reason is that address's")
    func oneAddress() async throws {
        let socket = try ListeningSocket(accepts: false)
        defer { Foundation.close(socket.descriptor) }
        let code = await reasonOfFailure { _, _ in [try SocketAddress(ipAddress: "127.0.0.1", port: socket.port)] }
        #expect(code == .connectionFailed(.refused, reason: "Connection refused"))
    }

    @Test("who accepts and ends the connection without a valid answer has not refused it")
    func lost() {
        var story = ClientStory()
        story.read(1, within: .milliseconds(400))
        for _ in 0..<2 {
            story.connect()
            story.close()
            while story.dials < 2 { story.pass(.milliseconds(1)) }
        }
        story.pass(.seconds(1))
        #expect(story.error(1) == .connectionClosed(mayHaveExecuted: true))
        story.read(2, within: .milliseconds(1))
        story.pass(.milliseconds(1))
        #expect(story.error(2) == .connectionFailed(.lost, reason: "reset by peer"))
    }
}
