public import Modbus

extension SimulatedPLC {
    /// A Modbus TCP server for this machine, as slow, limited and faulty as `behavior` says. It is not started yet.
    ///
    /// A restart of the served device (``ConnectionFault/reboot(_:)``) is one of the machine, see ``reboot()``. Calls in
    /// this process (``PLC``) do not go through the server and know nothing of its limits and faults.
    public func makeServer(
        configuration: ModbusServer.Configuration = ModbusServer.Configuration(), behavior: DeviceBehavior = .ideal
    ) -> ModbusServer {
        var behavior = behavior
        let further = behavior.deviceDidReboot
        behavior.deviceDidReboot = {
            self.reboot()
            further?()
        }
        return ModbusServer(configuration: configuration, device: self, behavior: behavior)
    }
}
