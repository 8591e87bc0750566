/// The metadata keys of this library's log lines.
enum LogKeys {
    static let peer = "modbus.peer"
    static let reason = "modbus.reason"
    static let connections = "modbus.connections"
}
