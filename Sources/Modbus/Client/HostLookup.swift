import Dispatch
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Looks one client's host name up, once at a time.
///
/// The system's look-up blocks, for a minute when its name servers are silent, and cannot be broken off. NIO's own
/// resolver makes all connections of an event loop wait for each other's look-ups, and a client that redials for more and
/// more of its own. This one blocks a queue that belongs to one client, and whoever asks while a look-up is under way
/// gets its result.
final class HostLookup: Resolver, Sendable {
    /// All addresses of a host, the preferred first. Blocks.
    typealias Resolve = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]

    private let eventLoop: any EventLoop
    private let resolve: Resolve
    private let queue = DispatchQueue(label: "modbus.host-lookup")
    /// Only touched on the event loop.
    private let underWay: NIOLoopBoundBox<EventLoopFuture<[SocketAddress]>?>

    init(eventLoop: any EventLoop, resolve: @escaping Resolve = HostLookup.system) {
        self.eventLoop = eventLoop
        self.resolve = resolve
        self.underWay = NIOLoopBoundBox.makeEmptyBox(eventLoop: eventLoop)
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        addresses(host, port).map { $0.filter { $0.protocol == .inet } }
    }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        addresses(host, port).map { $0.filter { $0.protocol == .inet6 } }
    }

    /// Does nothing: the system's look-up cannot be broken off, and the next attempt may take its result.
    func cancelQueries() {}

    private func addresses(_ host: String, _ port: Int) -> EventLoopFuture<[SocketAddress]> {
        if let underWay = underWay.value { return underWay }
        let promise = eventLoop.makePromise(of: [SocketAddress].self)
        underWay.value = promise.futureResult
        promise.futureResult.assumeIsolated().whenComplete { _ in self.underWay.value = nil }
        queue.async { [resolve] in
            promise.completeWith(Result { try resolve(host, port) })
        }
        return promise.futureResult
    }

    /// The system's `getaddrinfo`.
    static let system: Resolve = { host, port in
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        hints.ai_protocol = Int32(IPPROTO_TCP)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            throw HostLookupError(host: host, reason: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(list) }
        return sequence(first: list) { $0?.pointee.ai_next }.prefix { $0 != nil }
            .compactMap { $0?.pointee.socketAddress(host) }
    }
}

/// A host name has no address.
struct HostLookupError: Error, CustomStringConvertible {
    let host: String
    /// The system's words.
    let reason: String

    var description: String {
        "no address for \(host): \(reason); check the name, or configure an address"
    }
}

extension addrinfo {
    fileprivate func socketAddress(_ host: String) -> SocketAddress? {
        guard let address = ai_addr else { return nil }
        let raw = UnsafeRawPointer(address)
        return switch ai_family {
        case AF_INET: SocketAddress(raw.load(as: sockaddr_in.self), host: host)
        case AF_INET6: SocketAddress(raw.load(as: sockaddr_in6.self), host: host)
        default: nil
        }
    }
}
