/// A device as one request finds it: behind its memory map and its own limits, or refusing.
struct GuardedDevice: ModbusDevice {
    let device: any ModbusDevice
    let behavior: DeviceBehavior
    let traits: RequestTraits
    /// What this request is answered with, nothing being executed.
    var refusal: ExceptionCode?

    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        try check()
        let response = try device.respond(to: request, unit: asked(unit))
        return behavior.map?.masked(response, traits) ?? response
    }

    func respond(toRaw request: RawRequest, unit: UnitID) throws(ModbusException) -> [UInt8] {
        try check()
        return try device.respond(toRaw: request, unit: asked(unit))
    }

    private func check() throws(ModbusException) {
        if let refusal { throw ModbusException(refusal) }
        if let refusal = behavior.refusal(of: traits) { throw refusal }
    }

    private func asked(_ unit: UnitID) -> UnitID {
        if case .any(let only) = behavior.quirks.units { only } else { unit }
    }
}

extension DeviceBehavior {
    /// How a request is refused for what it touches, by the device's own limit or its map; nil when it is not.
    func refusal(of traits: RequestTraits) -> ModbusException? {
        if let limit = quirks.maximumQuantity {
            let isTooMuch = traits.spans.contains { $0.range.count > ($0.table.isBits ? limit.bits : limit.registers) }
            if isTooMuch { return ModbusException(limit.refusal) }
        }
        do throws(ModbusException) {
            try map?.check(traits)
            return nil
        } catch {
            return error
        }
    }
}
