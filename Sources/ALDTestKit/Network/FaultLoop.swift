import ALDCore
import Foundation
import Synchronization

/// The thread of a ``FaultProxy``: waits for sockets and for instants, and does what the streams say.
struct FaultLoop {
    private struct Link {
        var client: Int32
        var server: Int32
        /// From client to server, and back.
        var up: FaultStream
        var down: FaultStream
        /// What the socket has not taken yet.
        var unsent: [FaultProxy.Direction: [UInt8]] = [:]
        var isCounted = false
    }

    private let proxy: FaultProxy
    private let listener: Int32
    private let bell: Int32
    private let time = SystemTime()
    private var links: [Link] = []
    private var generation = -1
    private var nextSeed: UInt64
    private var isFrozen = false
    /// More than this is not read before something has gone.
    private static let most = 1 << 20

    init(proxy: FaultProxy, listener: Int32, bell: Int32, seed: UInt64) {
        (self.proxy, self.listener, self.bell, nextSeed) = (proxy, listener, bell, seed)
    }

    mutating func run() {
        while true {
            let control = proxy.control.withLock { control in
                defer { control.mustReset = false }
                return control
            }
            if control.isEnding || control.mustReset {
                if !control.isEnding { count { $0.resets += links.count } }
                for link in links { end(link, .reset) }
                links = []
            }
            if control.isEnding { return }
            take(control)
            let until = isFrozen ? nil : move()
            wait(until: until)
            if !isFrozen { accept(control) }
        }
    }

    private mutating func take(_ control: FaultProxy.Control) {
        isFrozen = control.isFrozen
        guard control.generation != generation else { return }
        generation = control.generation
        for index in links.indices {
            links[index].up.set(control.faults[.upstream] ?? .none)
            links[index].down.set(control.faults[.downstream] ?? .none)
        }
    }

    private func count(_ body: (inout FaultProxy.Evidence) -> Void) { proxy.control.withLock { body(&$0.evidence) } }

    // MARK: Moving bytes

    /// Passes on what is due.
    ///
    /// - Returns: when something will be.
    private mutating func move() -> MonotonicInstant? {
        var next: MonotonicInstant?
        var ended: [Int] = []
        for index in links.indices {
            for direction in FaultProxy.Direction.allCases {
                receive(index, direction)
                switch pass(index, direction) {
                case .end(let ending):
                    end(links[index], ending)
                    ended.append(index)
                case .wait(let until): next = [next, until].compactMap(\.self).min()
                case .send: break
                }
                if ended.last == index { break }
            }
            if !links[index].isCounted, links[index].up.hasBitten || links[index].down.hasBitten {
                links[index].isCounted = true
                count { $0.cuts += 1 }
            }
        }
        for index in ended.reversed() { links.remove(at: index) }
        return next
    }

    private mutating func receive(_ index: Int, _ direction: FaultProxy.Direction) {
        let stream = direction == .upstream ? links[index].up : links[index].down
        guard stream.queued < Self.most else { return }
        let source = direction == .upstream ? links[index].client : links[index].server
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let received = recv(source, &buffer, buffer.count, 0)
        if received < 0, errno == EAGAIN || errno == EINTR { return }
        update(index, direction) { stream, now in
            if received > 0 {
                stream.received(Array(buffer.prefix(received)), now: now)
            } else {
                stream.closed()
            }
        }
        if received > 0 { count { $0.bytes[direction, default: 0] += received } }
    }

    private mutating func update(
        _ index: Int, _ direction: FaultProxy.Direction, _ body: (inout FaultStream, MonotonicInstant) -> Void
    ) {
        let now = time.now
        if direction == .upstream { body(&links[index].up, now) } else { body(&links[index].down, now) }
    }

    /// Passes on until nothing is due or the socket is full.
    private mutating func pass(_ index: Int, _ direction: FaultProxy.Direction) -> FaultStream.Action {
        let target = direction == .upstream ? links[index].server : links[index].client
        while true {
            var bytes = links[index].unsent[direction] ?? []
            if bytes.isEmpty {
                var action = FaultStream.Action.wait(until: nil)
                update(index, direction) { action = $0.next(now: $1) }
                guard case .send(let next) = action else { return action }
                bytes = next
            }
            let sent = send(target, bytes, bytes.count, Self.noSignal)
            if sent < 0, errno != EAGAIN, errno != EINTR { return .end(.reset) }
            links[index].unsent[direction] = Array(bytes.dropFirst(max(0, sent)))
            if sent < bytes.count { return .wait(until: nil) }
        }
    }

    // MARK: Sockets

    private func wait(until: MonotonicInstant?) {
        var descriptors = [pollfd(fd: bell, events: Int16(POLLIN), revents: 0)]
        if !isFrozen {
            descriptors.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
            for link in links {
                for (descriptor, incoming, outgoing) in [
                    (link.client, link.up, link.unsent[.downstream]), (link.server, link.down, link.unsent[.upstream]),
                ] {
                    // One whose end was seen is readable for ever.
                    let reads = incoming.queued < Self.most && !incoming.isClosed ? POLLIN : 0
                    let events = Int32(reads) | (outgoing?.isEmpty == false ? Int32(POLLOUT) : 0)
                    if events != 0 { descriptors.append(pollfd(fd: descriptor, events: Int16(events), revents: 0)) }
                }
            }
        }
        let milliseconds = until.map { max(0, min(60_000, Int(($0 - time.now).inMilliseconds.rounded(.up)))) } ?? 60_000
        _ = poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds))
        var rung = [UInt8](repeating: 0, count: 64)
        while read(bell, &rung, rung.count) > 0 {}
    }

    private mutating func accept(_ control: FaultProxy.Control) {
        while true {
            let client = Foundation.accept(listener, nil, nil)
            guard client >= 0 else { return }
            let server = control.isDown ? -1 : Self.connect(to: control.target)
            nextSeed += 2
            var link = Link(
                client: client, server: server, up: FaultStream(seed: nextSeed), down: FaultStream(seed: nextSeed + 1))
            guard server >= 0 else {
                end(link, .reset)
                count { $0.refused += 1 }
                continue
            }
            Self.makeNonBlocking(client)
            Self.makeNonBlocking(server)
            link.up.set(control.faults[.upstream] ?? .none)
            link.down.set(control.faults[.downstream] ?? .none)
            links.append(link)
            count { $0.connections += 1 }
        }
    }

    private func end(_ link: Link, _ ending: StreamFaults.Ending) {
        for descriptor in [link.client, link.server] where descriptor >= 0 {
            if ending == .reset {
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
            }
            close(descriptor)
        }
    }

    static func makeNonBlocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    /// - Returns: -1 when nobody listens there.
    private static func connect(to path: String) -> Int32 {
        #if os(Linux)
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8.prefix(MemoryLayout.size(ofValue: address.sun_path) - 1))
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result == 0 { return descriptor }
        close(descriptor)
        return -1
    }

    #if os(Linux)
        private static let noSignal = Int32(MSG_NOSIGNAL)
    #else
        private static let noSignal = Int32(0)
    #endif
}
