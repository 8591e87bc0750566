extension ModbusRequest {
    /// A request that sets one bit of a holding register in the device itself and leaves the others alone
    /// (function 22), so that no other client's write can get in between.
    ///
    /// - Parameter position: 0 (the lowest) to 15; nil comes back for others.
    public static func writeBit(_ position: Int, ofRegister address: UInt16, _ value: Bool) -> ModbusRequest? {
        guard (0...15).contains(position) else { return nil }
        let mask = UInt16(1) << UInt16(position)
        return .maskWriteRegister(address: address, and: ~mask, or: value ? mask : 0)
    }
}
