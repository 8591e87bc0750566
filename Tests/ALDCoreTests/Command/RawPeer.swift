import ALDTestKit
import Foundation
import Synchronization

/// A Modbus TCP peer that does what a test says, one connection after the other: right, wrong or nothing.
final class RawPeer: Sendable {
    enum Reply {
        /// These bytes, whatever they are.
        case bytes([UInt8])
        /// The end of the connection.
        case close
        /// Silence.
        case nothing
    }

    /// On 127.0.0.1.
    var port: Int { listener.port }
    private let listener: ListeningSocket
    private let seen = Mutex([[UInt8]]())

    /// Everything that was received, one read of the socket after the other.
    var requests: [[UInt8]] { seen.withLock(\.self) }

    /// - Parameter reply: what to do about the request with this number, counted from 0.
    init(_ reply: @escaping @Sendable (_ request: [UInt8], _ number: Int) -> Reply) throws {
        listener = try ListeningSocket()
        Thread.detachNewThread { self.serve(reply) }
    }

    /// Stops listening, which ends the thread.
    func close() {
        shutdown(listener.descriptor, Int32(SHUT_RDWR))
    }

    private func serve(_ reply: (_ request: [UInt8], _ number: Int) -> Reply) {
        while true {
            let connection = accept(listener.descriptor, nil, nil)
            guard connection >= 0 else { break }
            talk(on: connection, reply)
            Foundation.close(connection)
        }
        Foundation.close(listener.descriptor)
    }

    private func talk(on connection: Int32, _ reply: (_ request: [UInt8], _ number: Int) -> Reply) {
        var buffer = [UInt8](repeating: 0, count: 1024)
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            let request = Array(buffer[..<count])
            let number = seen.withLock { seen in
                seen.append(request)
                return seen.count - 1
            }
            switch reply(request, number) {
            case .bytes(let bytes): send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            case .close: return
            case .nothing: break
            }
        }
    }

    // MARK: Answers

    /// The right answer to a read of registers: each holds its own address.
    static func registers(_ request: [UInt8]) -> [UInt8] {
        guard request.count >= 12 else { return [] }
        let start = Int(request[8]) << 8 | Int(request[9])
        let count = Int(request[11])
        let words = (start..<(start + count)).flatMap { [UInt8($0 >> 8 & 0xFF), UInt8($0 & 0xFF)] }
        return frame(request, pdu: [request[7], UInt8(2 * count)] + words)
    }

    /// A frame with the request's transaction and unit.
    static func frame(_ request: [UInt8], pdu: [UInt8]) -> [UInt8] {
        guard request.count >= 8 else { return [] }
        return Array(request[0..<4]) + [0, UInt8(pdu.count + 1), request[6]] + pdu
    }
}
