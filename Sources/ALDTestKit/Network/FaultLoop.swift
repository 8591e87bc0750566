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

        subscript(direction: FaultProxy.Direction) -> FaultStream {
            get { direction == .upstream ? up : down }
            set { if direction == .upstream { up = newValue } else { down = newValue } }
        }
    }

    private let proxy: FaultProxy
    private let listener: Int32
    private let bell: Int32
    private let time = SystemTime()
    private var links: [Link] = []
    private var settings: [FaultProxy.Direction: Int] = [:]
    private var nextSeed: UInt64
    private var isFrozen = false
    /// Descriptors that have something to say in a freeze and were counted for it.
    private var held: Set<Int32> = []
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
                if !control.isEnding { countResets(control) }
                for link in links { end(link, .reset) }
                links = []
            }
            if control.isEnding { return }
            take(control)
            if isFrozen {
                waitInFreeze()
            } else {
                held = []
                let until = move()
                wait(until: until)
                accept()
            }
        }
    }

    private func countResets(_ control: FaultProxy.Control) {
        count { evidence in
            evidence.resets += links.count
            evidence.bites[control.gate.isDown ? .down : .reset, default: 0] += links.count
        }
    }

    private mutating func take(_ control: FaultProxy.Control) {
        isFrozen = control.isFrozen
        for direction in FaultProxy.Direction.allCases {
            let setting = control[direction]
            guard settings[direction] != setting.number else { continue }
            settings[direction] = setting.number
            for index in links.indices { links[index][direction].set(setting.faults) }
        }
    }

    private mutating func takeNewest() { take(proxy.control.withLock(\.self)) }

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
        }
        for index in ended.reversed() { links.remove(at: index) }
        return next
    }

    private mutating func receive(_ index: Int, _ direction: FaultProxy.Direction) {
        let stream = links[index][direction]
        // The end of a socket is there for ever, but is heard of once.
        guard stream.queued < Self.most, !stream.isClosed else { return }
        let source = direction == .upstream ? links[index].client : links[index].server
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let received = recv(source, &buffer, buffer.count, 0)
        if received < 0, errno == EAGAIN || errno == EINTR { return }
        // Whoever has set something and then sent something must find it set.
        takeNewest()
        if isFrozen { count { $0.bites[.freeze, default: 0] += 1 } }
        if received > 0 {
            links[index][direction].received(Array(buffer.prefix(received)), now: time.now)
        } else {
            links[index][direction].closed(now: time.now)
        }
        note(links[index][direction].takeBites(), of: index, bytes: max(0, received), direction)
    }

    /// Counts before anybody can feel it.
    private mutating func note(
        _ bites: [ProxyFault: Int], of index: Int, bytes: Int, _ direction: FaultProxy.Direction
    ) {
        let isCut = !links[index].isCounted && links[index][direction].hasBitten
        if isCut { links[index].isCounted = true }
        count { evidence in
            evidence.bytes[direction, default: 0] += bytes
            evidence.bites.merge(bites, uniquingKeysWith: +)
            if isCut { evidence.cuts += 1 }
        }
    }

    /// Passes on until nothing is due or the socket is full.
    private mutating func pass(_ index: Int, _ direction: FaultProxy.Direction) -> FaultStream.Action {
        let target = direction == .upstream ? links[index].server : links[index].client
        let back: FaultProxy.Direction = direction == .upstream ? .downstream : .upstream
        // A freeze may have begun since, and its bell ends the wait that follows.
        while !isFrozen {
            var bytes = links[index].unsent[direction] ?? []
            if bytes.isEmpty {
                let action = links[index][direction].next(now: time.now)
                guard case .send(let next) = action else { return action }
                bytes = next
            }
            let sent = send(target, bytes, bytes.count, Self.noSignal)
            if sent < 0, errno != EAGAIN, errno != EINTR {
                guard links[index][back].hidesEnd(now: time.now) else { return .end(.reset) }
                links[index].unsent[direction] = []
                continue
            }
            if sent > 0 { links[index][back].asked() }
            links[index].unsent[direction] = Array(bytes.dropFirst(max(0, sent)))
            if sent < bytes.count { return .wait(until: nil) }
        }
        return .wait(until: nil)
    }

    // MARK: Sockets

    private func wait(until: MonotonicInstant?) {
        var descriptors = [pollfd(fd: bell, events: Int16(POLLIN), revents: 0)]
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
        let milliseconds = until.map { max(0, min(60_000, Int(($0 - time.now).inMilliseconds.rounded(.up)))) } ?? 60_000
        _ = poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds))
        silenceBell()
    }

    /// Until something changes. Whoever has something to say meanwhile is counted once, and not heard.
    private mutating func waitInFreeze() {
        let others = ([listener] + links.flatMap { [$0.client, $0.server] }).filter { !held.contains($0) }
        var descriptors = ([bell] + others).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        if poll(&descriptors, nfds_t(descriptors.count), 60_000) > 0 {
            let heard = descriptors.dropFirst().filter { $0.revents != 0 }
            held.formUnion(heard.map(\.fd))
            count { $0.bites[.freeze, default: 0] += heard.count }
        }
        silenceBell()
    }

    private func silenceBell() {
        var rung = [UInt8](repeating: 0, count: 64)
        while read(bell, &rung, rung.count) > 0 {}
    }

    private mutating func accept() {
        while true {
            takeNewest()
            if isFrozen { return }
            let client = Foundation.accept(listener, nil, nil)
            guard client >= 0 else { return }
            let (decision, control) = proxy.control.withLock { ($0.gate.connection(), $0) }
            take(control)
            switch decision {
            case .accept: link(client, control, isDead: false)
            case .refuse(let fault, let ending):
                count { $0.bites[fault, default: 0] += 1 }
                guard ending == .timeout else {
                    refuse(client, ending)
                    continue
                }
                link(client, control, isDead: true)
            }
        }
    }

    private func refuse(_ client: Int32, _ ending: StreamFaults.Ending) {
        count { $0.refused += 1 }
        end(client, ending)
    }

    /// - Parameter isDead: nothing is to pass.
    private mutating func link(_ client: Int32, _ control: FaultProxy.Control, isDead: Bool) {
        let server = FaultTarget.connect(to: control.target)
        guard server >= 0 else { return refuse(client, .reset) }
        Self.makeNonBlocking(client)
        Self.makeNonBlocking(server)
        nextSeed &+= 2
        var link = Link(
            client: client, server: server, up: FaultStream(seed: nextSeed, .upstream),
            down: FaultStream(seed: nextSeed &+ 1, .downstream))
        for direction in FaultProxy.Direction.allCases {
            link[direction].set(control[direction].faults)
            if isDead { link[direction].pullCable() }
        }
        links.append(link)
        count { evidence in
            evidence.connections += 1
            if isDead { evidence.refused += 1 }
        }
    }

    private func end(_ link: Link, _ ending: StreamFaults.Ending) {
        end(link.client, ending)
        end(link.server, ending)
    }

    private func end(_ descriptor: Int32, _ ending: StreamFaults.Ending) {
        if ending == .reset {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        }
        close(descriptor)
    }

    static func makeNonBlocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    #if os(Linux)
        private static let noSignal = Int32(MSG_NOSIGNAL)
    #else
        private static let noSignal = Int32(0)
    #endif
}
