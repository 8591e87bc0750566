import CLibPQ

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Owns one `PGconn`: the only place that frees it. Not `Sendable`; it lives inside the actor of its connection.
final class LibPQHandle {
    let pointer: OpaquePointer
    let notices: NoticeSink

    /// Starts a connect with exactly these options. Touches the network but waits for nothing, as long as `options`
    /// names addresses and not names.
    init(starting options: [String: String], notices: NoticeSink) throws(PostgresError) {
        guard let pointer = CStringPairs(options).withPointers({ PQconnectStartParams($0, $1, 0) }) ?? nil else {
            throw .outOfMemory
        }
        self.pointer = pointer
        self.notices = notices
        // Before the first poll: it puts the SQLSTATE into the text of a refused connect.
        PQsetErrorVerbosity(pointer, PQERRORS_VERBOSE)
        PQsetNoticeReceiver(pointer, receiveNotice, Unmanaged.passUnretained(notices).toOpaque())
    }

    deinit {
        // Sends a farewell without waiting. The sink is still alive here and may be called a last time.
        PQfinish(pointer)
    }

    var socket: Int32 { PQsocket(pointer) }
    var isAlive: Bool { PQstatus(pointer) != CONNECTION_BAD }
    /// Whether a statement can be sent. Not after a farewell: the end of the stream may trail behind it.
    var isReady: Bool { PQstatus(pointer) == CONNECTION_OK && notices.farewell == nil }
    var errorText: String { String(cString: PQerrorMessage(pointer)) }
    var backendProcessID: Int32 { PQbackendPID(pointer) }
    var serverVersion: Int { Int(PQserverVersion(pointer)) }

    /// Whether something has arrived, be it the end of the stream.
    var isReadable: Bool {
        var probe = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        return socket >= 0 && poll(&probe, 1, 0) > 0
    }

    /// Whether what has arrived is the end of the stream. Behind TLS, it may not look like that.
    var isAtEnd: Bool {
        var byte: UInt8 = 0
        return recv(socket, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 0
    }

    /// Reads what arrived while nothing was running: a notice, a parameter, or the server's farewell. A healthy idle
    /// socket has nothing to read, so this is usually one system call.
    func absorbIdleInput() {
        guard isReadable else { return }
        // The first call takes in the farewell, which parsing hands to the notice receiver; the second one sees the
        // end of the stream behind it.
        for _ in 0..<2 {
            PQconsumeInput(pointer)
            _ = PQisBusy(pointer)
        }
    }

    var transactionStatus: PostgresTransactionStatus {
        switch PQtransactionStatus(pointer) {
        case PQTRANS_IDLE: .idle
        case PQTRANS_ACTIVE: .active
        case PQTRANS_INTRANS: .inTransaction
        case PQTRANS_INERROR: .inFailedTransaction
        default: .unknown
        }
    }
}

/// What can be known about a connection without asking the reactor's thread.
struct ConnectionVitals: Sendable {
    var socket: Int32 = -1
    /// As of the end of the last operation.
    var isClean = false
    /// The session may differ from a new one.
    var hasTrace = false

    /// Whether that still holds as far as the socket tells: nothing has arrived, not even the end of the stream.
    var seemClean: Bool {
        var probe = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        return isClean && socket >= 0 && poll(&probe, 1, 0) == 0
    }
}

/// Where a session stands between two statements.
public enum PostgresTransactionStatus: Sendable {
    /// No transaction is open.
    case idle
    /// A statement is running.
    case active
    case inTransaction
    /// A transaction is open and only `ROLLBACK` is accepted.
    case inFailedTransaction
    /// The connection is closed or broken.
    case unknown
}
