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
        if let limit = behavior.quirks.maximumQuantity {
            let isTooMuch = traits.spans.contains { $0.range.count > ($0.table.isBits ? limit.bits : limit.registers) }
            if isTooMuch { throw ModbusException(limit.refusal) }
        }
        try behavior.map?.check(traits)
    }

    private func asked(_ unit: UnitID) -> UnitID {
        if case .any(let only) = behavior.quirks.units { only } else { unit }
    }
}
