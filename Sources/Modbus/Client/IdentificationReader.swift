/// Reads a device's whole identification page by page (MODBUS Application Protocol V1.1b3 §6.21). No I/O.
///
/// It ends with every device: each page but the last must bring an object that was not there before, and none below
/// where it was asked to start. Within a page the order is the device's.
struct IdentificationReader: Sendable {
    /// What to do with the page that was just received.
    enum Action: Hashable, Sendable {
        /// Ask for the next page, starting at this object.
        case read(from: DeviceIdentification.ObjectID)
        /// All objects are there.
        case finish(DeviceIdentification)
        /// The device's pages do not make sense.
        case fail(String)
    }

    private var identification = DeviceIdentification()
    private var next: UInt8 = 0

    /// Takes the answer to the last request.
    mutating func received(_ page: DeviceIdentification.Page) -> Action {
        for object in page.objects {
            guard object.id.rawValue >= next, identification[object.id] == nil else {
                return .fail("identification object \(object.id.rawValue) came twice or out of order")
            }
            identification[object.id] = object.value
        }
        guard page.moreFollows else { return .finish(identification) }
        let last = page.objects.last?.id.rawValue
        guard let last, page.nextObject.rawValue > last else {
            return .fail("more identification objects are to follow, but not after the last one")
        }
        next = page.nextObject.rawValue
        return .read(from: page.nextObject)
    }
}
