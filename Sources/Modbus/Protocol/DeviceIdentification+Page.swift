extension DeviceIdentification {
    /// One answer to function 43/14: as many objects as one frame holds.
    public struct Page: Hashable, Sendable {
        /// What was asked for.
        public var access: Access
        /// What the device can do: 01 basic, 02 regular, 03 extended, plus 80 when it gives single objects, too. Kept
        /// as it came.
        public var conformity: UInt8
        /// Whether a further request is needed, starting at ``nextObject``.
        public var moreFollows: Bool
        /// Where to go on; 00 when nothing follows.
        public var nextObject: ObjectID
        /// The objects of this page.
        public var objects: [Object]

        public init(
            access: Access, conformity: UInt8, moreFollows: Bool = false, nextObject: ObjectID = .vendorName,
            objects: [Object]
        ) {
            self.access = access
            self.conformity = conformity
            self.moreFollows = moreFollows
            self.nextObject = nextObject
            self.objects = objects
        }
    }

    /// 81, 82 or 83: what these objects amount to, with access to single objects.
    public var conformity: UInt8 {
        let highest = objects.last?.id.rawValue ?? 0
        return highest > 0x7F ? 0x83 : highest > 0x02 ? 0x82 : 0x81
    }

    /// What a device with these objects answers.
    ///
    /// A stream that is asked to start at an object the device does not have starts at object 00 (§6.21). It leaves
    /// out objects of more than 244 bytes, which no frame can carry.
    ///
    /// - Returns: nil when a single object is asked for that does not exist: exception 02.
    public func page(_ access: Access, from first: ObjectID) -> Page? {
        guard access != .individual else {
            guard let value = self[first] else { return nil }
            return Page(access: access, conformity: conformity, objects: [Object(first, value)])
        }
        let offered = objects.filter {
            $0.id.rawValue <= access.lastObject && $0.value.count <= ModbusLimits.maximumIdentificationObject
        }
        let start = offered.firstIndex { $0.id == first } ?? 0
        var page = Page(access: access, conformity: conformity, objects: [])
        var room = ModbusLimits.maximumIdentificationObjects
        for object in offered[start...] {
            room -= 2 + object.value.count
            guard room >= 0 else {
                page.moreFollows = true
                page.nextObject = object.id
                break
            }
            page.objects.append(object)
        }
        return page
    }
}
