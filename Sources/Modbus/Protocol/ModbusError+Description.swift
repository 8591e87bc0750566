extension ModbusError: CustomStringConvertible {
    /// What happened, to which request, and what to do about it; one line.
    public var description: String {
        let place = self.place
        return (place.isEmpty ? "" : place + ": ") + message
    }

    /// What happened and what to do about it, without the place.
    public var message: String {
        switch code {
        case .exception(let exception, let function):
            "the device answered \(function) with exception \(exception). \(Self.remedy(exception))"
        case .timedOut(let stage):
            "no answer before the deadline (\(Self.words(stage))). \(Self.remedy(stage))"
        case .connectionFailed(.lost, let reason):
            "the connection was lost: \(reason). Check cable and device, and whether it has a connection left."
        case .connectionFailed(.refused, let reason), .connectionFailed(.noAnswer, let reason):
            "no connection before the deadline; the last attempt failed: \(reason). Check address, port, cable and "
                + "whether the device has a connection left."
        case .connectionClosed(let mayHaveExecuted):
            "the connection ended before the answer came; the request "
                + (mayHaveExecuted ? "may have reached the device." : "was not sent.") + " It can be made again."
        case .unknownOutcome(let doubt):
            "the write was sent and \(Self.words(doubt)). It may have been executed and was not repeated; read the "
                + "value back before deciding."
        case .malformedResponse(let detail):
            "the answer does not fit the request: \(detail). Check the unit and what stands between here and the "
                + "device."
        case .queueFull(let limit):
            "\(limit) calls are waiting already. Ask less often, or raise queueLimit."
        case .cancelled: "the calling task was cancelled."
        case .shuttingDown: "the client is closed. Make a new one."
        case .notConnected: "not connected yet. The first request opens the connection."
        case .invalidRequest(let reason): "the request is not valid: \(reason)."
        }
    }

    private var place: String {
        var parts: [String] = []
        if !peer.isEmpty { parts.append(peer) }
        if let unit { parts.append(unit.description) }
        if let function {
            parts.append(range.map { "\(function) \($0)" } ?? function.description)
        }
        return parts.joined(separator: ", ")
    }

    private static func words(_ stage: Stage) -> String {
        switch stage {
        case .queue: "still waiting behind other requests"
        case .connect: "still connecting"
        case .reply: "the request had been sent"
        }
    }

    private static func remedy(_ stage: Stage) -> String {
        switch stage {
        case .queue: "Ask for less at a time or allow more time."
        case .connect: "Check that the device is reachable."
        case .reply: "Check that the unit exists and is not overloaded."
        }
    }

    private static func words(_ doubt: Doubt) -> String {
        switch doubt {
        case .replyTimedOut: "no answer came before the deadline"
        case .connectionLost: "the connection ended before the answer came"
        case .cancelled: "the calling task was cancelled before the answer came"
        case .shuttingDown: "the client was closed before the answer came"
        case .replyMalformed(let detail): "an answer came that does not fit (\(detail))"
        }
    }

    private static func remedy(_ exception: ExceptionCode) -> String {
        switch exception {
        case .illegalFunction: "The device does not have this function."
        case .illegalDataAddress: "An address does not exist; check the register map."
        case .illegalDataValue: "The quantity or value is not allowed; check limits and register map."
        case .serverDeviceFailure: "The device failed; look at its own diagnosis. A write may have been executed."
        case .acknowledge: "It is still executing; ask for the result later, do not repeat."
        case .serverDeviceBusy: "It executed nothing; try again later."
        case .gatewayPathUnavailable: "Check the gateway's configuration."
        case .gatewayTargetFailedToRespond: "Check the unit behind the gateway; a write may have been executed."
        default: "See the device's manual."
        }
    }
}
