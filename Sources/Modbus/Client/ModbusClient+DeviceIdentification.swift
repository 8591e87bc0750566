public import NIOCore

extension ModbusClient {
    /// Reads a device's identification (function 43, type 14) with as many requests as it takes, at most 256.
    ///
    /// A device that has less than `access` asks for answers with what it has.
    ///
    /// - Parameters:
    ///   - access: basic, regular or extended. With individual, only the vendor's name is read; see
    ///     ``readDeviceIdentification(object:unit:deadline:)``.
    ///   - deadline: when the call ends at the latest, all requests together.
    /// - Throws: ``ModbusError/Code/malformedResponse(_:)`` when the device repeats itself or goes backwards.
    public nonisolated(nonsending) func readDeviceIdentification(
        _ access: DeviceIdentification.Access = .extended, unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> DeviceIdentification {
        var reader = IdentificationReader()
        var first = DeviceIdentification.ObjectID.vendorName
        while true {
            let response = try await send(.readDeviceIdentification(access, first), unit: unit, deadline: deadline)
            guard case .deviceIdentification(let page) = response else { throw response.unexpected }
            switch reader.received(page) {
            case .read(let next): first = next
            case .finish(let identification): return identification
            case .fail(let reason):
                throw ModbusError(
                    .malformedResponse(reason), peer: "\(configuration.host):\(configuration.port)",
                    unit: unit ?? configuration.unit, function: .encapsulatedInterface)
            }
        }
    }

    /// Reads one object of a device's identification.
    public nonisolated(nonsending) func readDeviceIdentification(
        object: DeviceIdentification.ObjectID, unit: UnitID? = nil, deadline: NIODeadline
    ) async throws(ModbusError) -> [UInt8] {
        let response = try await send(.readDeviceIdentification(.individual, object), unit: unit, deadline: deadline)
        guard case .deviceIdentification(let page) = response, let value = page.objects.first?.value else {
            throw response.unexpected
        }
        return value
    }
}
