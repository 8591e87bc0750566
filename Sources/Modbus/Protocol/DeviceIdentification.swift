/// What a device says of itself with function 43, type 14 (MODBUS Application Protocol V1.1b3 §6.21).
///
/// Objects 00 to 02 are basic and every device has them, 03 to 06 are regular, 80 to FF belong to the device. A value
/// is 1…244 bytes at most, usually ASCII text.
public struct DeviceIdentification: Hashable, Sendable {
    /// One property of the device.
    public struct Object: Hashable, Sendable {
        /// Which property.
        public var id: ObjectID
        /// Its bytes, at most 244.
        public var value: [UInt8]

        public init(_ id: ObjectID, _ value: [UInt8]) {
            self.id = id
            self.value = value
        }

        /// The value as text; bytes that are not UTF-8 become U+FFFD.
        public var text: String {
            String(decoding: value, as: UTF8.self)
        }
    }

    /// Names an object, 00…FF.
    public struct ObjectID: RawRepresentable, Hashable, Sendable {
        public var rawValue: UInt8

        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// 00, basic.
        public static let vendorName = ObjectID(rawValue: 0)
        /// 01, basic.
        public static let productCode = ObjectID(rawValue: 1)
        /// 02, basic.
        public static let majorMinorRevision = ObjectID(rawValue: 2)
        /// 03, regular.
        public static let vendorURL = ObjectID(rawValue: 3)
        /// 04, regular.
        public static let productName = ObjectID(rawValue: 4)
        /// 05, regular.
        public static let modelName = ObjectID(rawValue: 5)
        /// 06, regular.
        public static let userApplicationName = ObjectID(rawValue: 6)
    }

    /// How much is asked for.
    public enum Access: UInt8, Hashable, Sendable, CaseIterable {
        /// 01: objects 00 to 02, as a stream.
        case basic = 1
        /// 02: objects 00 to 7F, as a stream.
        case regular = 2
        /// 03: all objects, as a stream.
        case extended = 3
        /// 04: one object.
        case individual = 4

        /// The last object that a stream of this access gives.
        var lastObject: UInt8 {
            switch self {
            case .basic: 0x02
            case .regular: 0x7F
            case .extended, .individual: 0xFF
            }
        }
    }

    /// The objects, ascending by id, each id once.
    public private(set) var objects: [Object] = []

    public init() {}

    /// - Parameter objects: of two with the same id the later one counts.
    public init(_ objects: [Object]) {
        for object in objects { self[object.id] = object.value }
    }

    /// The value of one object; nil when the device does not have it. Setting nil removes it.
    public subscript(id: ObjectID) -> [UInt8]? {
        get { objects.first { $0.id == id }?.value }
        set {
            objects.removeAll { $0.id == id }
            guard let newValue else { return }
            let index = objects.firstIndex { $0.id.rawValue > id.rawValue } ?? objects.endIndex
            objects.insert(Object(id, newValue), at: index)
        }
    }

    /// The text of one object; nil when the device does not have it.
    public func text(_ id: ObjectID) -> String? {
        objects.first { $0.id == id }?.text
    }
}
