import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why an attempt to connect, or to listen, failed, without the insides of the network library.
struct ConnectFailure: Hashable {
    let obstacle: ModbusError.Obstacle
    /// For people, without a full stop.
    let reason: String

    init(_ obstacle: ModbusError.Obstacle, _ reason: String) {
        self.obstacle = obstacle
        self.reason = reason
    }

    init(_ error: any Error) {
        switch error {
        case let error as IOError:
            self.init(error.errnoCode == ETIMEDOUT ? .noAnswer : .refused, String(cString: strerror(error.errnoCode)))
        case ChannelError.connectTimeout(let limit):
            self.init(.noAnswer, "no answer within \(limit.nanoseconds / 1_000_000) ms")
        case let error as SocketAddressError.UnknownHost:
            self.init(.refused, "no address for \(error.host): \(error.errorDescription)")
        case let error as NIOConnectionError:
            self = Self.summary(of: error)
        default:
            self.init(.refused, "\(error)")
        }
    }

    /// Of a host with several addresses each was tried; of a name without any, its look-up failed for both families.
    private static func summary(of error: NIOConnectionError) -> ConnectFailure {
        let attempts = error.connectionErrors.map { (place: $0.target.ipAddress, failure: ConnectFailure($0.error)) }
        guard let first = attempts.first else {
            let lookup = error.dnsAError ?? error.dnsAAAAError
            return lookup.map { ConnectFailure($0) } ?? ConnectFailure(.refused, "no address for \(error.host)")
        }
        let isSilent = attempts.allSatisfy { $0.failure.obstacle == .noAnswer }
        guard attempts.count > 1 else { return first.failure }
        let reasons = attempts.map { ($0.place.map { "\($0): " } ?? "") + $0.failure.reason }
        return ConnectFailure(isSilent ? .noAnswer : .refused, reasons.joined(separator: "; "))
    }
}
