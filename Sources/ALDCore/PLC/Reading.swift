/// One parameter's value in one cycle.
public struct Reading: Hashable, Sendable {
    public var parameter: ParameterID
    /// In the parameter's unit; `nil` exactly when `quality` is bad.
    public var value: Double?
    public var quality: Quality

    public init(parameter: ParameterID, value: Double?, quality: Quality) {
        self.parameter = parameter
        self.value = value
        self.quality = quality
    }

    /// Judges a number that came from the PLC.
    public init(_ number: Double, of parameter: Parameter) {
        self.parameter = parameter.id
        if number.isFinite {
            value = number
            quality = parameter.range.contains(number) ? .good : .uncertain
        } else {
            value = nil
            quality = .bad
        }
    }

    /// A parameter that could not be read.
    public static func unread(_ parameter: ParameterID) -> Reading {
        Reading(parameter: parameter, value: nil, quality: .bad)
    }
}

/// All parameters of a machine, read together.
public struct Scan: Sendable {
    /// Civil time at which the reading began; the time stamp of every row made from this scan.
    public var time: Timestamp
    /// One reading per parameter, in the register map's order.
    public var readings: [Reading]

    public init(time: Timestamp, readings: [Reading]) {
        self.time = time
        self.readings = readings
    }
}
