/// Why a ``ModbusServer`` could not be started.
public struct ModbusServerError: Error, Hashable, Sendable {
    /// What happened.
    public enum Code: Hashable, Sendable {
        /// Another program (or another server of this one) listens there already.
        case addressInUse
        /// The port needs a privilege this process does not have.
        case permissionDenied
        /// The operating system refused for another reason, which it names.
        case bindFailed(reason: String)
        /// ``ModbusServer/start()`` was called on a server that runs or is being stopped.
        case alreadyRunning
        /// ``ModbusServer/stop()`` was called before the server was ready.
        case stopped
        /// Certificate or key cannot be used. Carries why, and what to do.
        case tls(reason: String)
        /// The configuration has these problems.
        case invalidConfiguration([String])
    }

    public var code: Code
    /// Where the server was to listen.
    public var host: String
    /// Where the server was to listen.
    public var port: Int

    init(_ code: Code, host: String, port: Int) {
        self.code = code
        self.host = host
        self.port = port
    }
}

extension ModbusServerError: CustomStringConvertible {
    /// What happened, where, and what to do.
    public var description: String {
        let place = "\(host):\(port)"
        return switch code {
        case .addressInUse:
            "cannot listen on \(place): the address is already in use. Stop the program that listens there, or "
                + "configure another port (0 lets the system choose one)."
        case .permissionDenied:
            "cannot listen on \(place): permission denied. Ports below 1024 need a privilege; use a higher port or "
                + "grant CAP_NET_BIND_SERVICE."
        case .bindFailed(let reason):
            "cannot listen on \(place): \(reason). Check that the address belongs to this machine."
        case .alreadyRunning:
            "the server for \(place) is already running. Stop it before it is started again."
        case .stopped:
            "the server for \(place) was stopped while it was being started. Start it again when it is needed."
        case .tls(let reason):
            "the server for \(place) cannot offer TLS: \(reason)."
        case .invalidConfiguration(let problems):
            "the server cannot be configured like this: " + problems.joined(separator: "; ") + "."
        }
    }
}
