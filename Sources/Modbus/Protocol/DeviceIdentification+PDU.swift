import NIOCore

// An answer to function 43/14 behind its function code (MODBUS Application Protocol V1.1b3 §6.21): type, access,
// conformity, more follows, next object, number of objects, and of each object id, length and value.

extension DeviceIdentification.Page {
    func write(to buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(
            ModbusRequest.identificationType, access.rawValue, conformity, moreFollows ? 0xFF : 0 as UInt8,
            nextObject.rawValue, UInt8(truncatingIfNeeded: objects.count))
        for object in objects {
            buffer.writeMultipleIntegers(object.id.rawValue, UInt8(truncatingIfNeeded: object.value.count))
            buffer.writeBytes(object.value)
        }
    }

    /// A page that fills `rest` and answers the request for `access` from `object` on.
    init(
        _ rest: inout ByteBuffer, answering access: DeviceIdentification.Access,
        _ object: DeviceIdentification.ObjectID
    ) throws(ResponseMismatch) {
        guard
            let (type, code, conformity, more, next, count) =
                rest.readMultipleIntegers(as: (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8).self),
            type == ModbusRequest.identificationType, let given = DeviceIdentification.Access(rawValue: code),
            more == 0 || more == 0xFF
        else { throw ResponseMismatch("the head of a device identification is cut short or not legal") }
        var objects: [DeviceIdentification.Object] = []
        for _ in 0..<count {
            guard let (id, length) = rest.readMultipleIntegers(as: (UInt8, UInt8).self),
                let value = rest.readBytes(length: Int(length))
            else { throw ResponseMismatch("\(count) identification objects where \(objects.count) are there") }
            objects.append(DeviceIdentification.Object(DeviceIdentification.ObjectID(rawValue: id), value))
        }
        guard rest.readableBytes == 0 else { throw ResponseMismatch("bytes behind the last identification object") }
        self.init(
            access: given, conformity: conformity, moreFollows: more != 0,
            nextObject: DeviceIdentification.ObjectID(rawValue: next), objects: objects)
        if let mismatch = mismatch(with: access, object) { throw mismatch }
    }

    /// What keeps this from being the answer to a request for `access` from `object` on.
    func mismatch(
        with access: DeviceIdentification.Access, _ object: DeviceIdentification.ObjectID
    ) -> ResponseMismatch? {
        guard self.access == access else {
            return ResponseMismatch("access \(self.access) of an identification where \(access) was asked for")
        }
        guard access != .individual || objects.map(\.id) == [object] else {
            return ResponseMismatch("another identification object than the one that was asked for")
        }
        let size = objects.reduce(0) { $0 + 2 + $1.value.count }
        guard size <= ModbusLimits.maximumIdentificationObjects else {
            return ResponseMismatch("identification objects of \(size) bytes; a frame does not hold them")
        }
        return nil
    }
}
