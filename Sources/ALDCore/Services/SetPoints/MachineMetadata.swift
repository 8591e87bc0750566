import Foundation

/// What the database says of a machine's parameters beyond the register map: what people may change at any time.
///
/// It is kept in a file, so that a start without the database knows what was true last.
public struct MachineMetadata: Codable, Hashable, Sendable {
    /// One parameter.
    public struct Entry: Codable, Hashable, Sendable {
        public var minimum: Double
        public var maximum: Double
        public var isWritable: Bool
        /// Smallest difference that is a change of its set point, in its unit; `nil`: that of the unit.
        public var setPointTolerance: Double?

        public init(minimum: Double, maximum: Double, isWritable: Bool, setPointTolerance: Double? = nil) {
            self.minimum = minimum
            self.maximum = maximum
            self.isWritable = isWritable
            self.setPointTolerance = setPointTolerance
        }
    }

    /// Of the file; another version is not read.
    public private(set) var version = 1
    public var machine: Int32
    public var entries: [Int32: Entry]

    public init(machine: Int32, entries: [Int32: Entry]) {
        self.machine = machine
        self.entries = entries
    }

    /// Judges readings by the limits that hold now; the map's may be wider.
    func judged(_ readings: [Reading]) -> [Reading] {
        readings.map { reading in
            guard let entry = entries[reading.parameter.rawValue], let value = reading.value,
                reading.quality == .good, !(entry.minimum...max(entry.minimum, entry.maximum)).contains(value)
            else { return reading }
            return Reading(parameter: reading.parameter, value: value, quality: .uncertain)
        }
    }
}
