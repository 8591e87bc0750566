import Testing

@testable import Modbus

@Suite("Configurations", .background)
struct ConfigurationTests {
    @Test("the defaults are valid")
    func defaults() {
        #expect(ModbusClient.Configuration(host: "plc").validate().isEmpty)
        #expect(ModbusServer.Configuration().validate().isEmpty)
    }

    @Test("every problem is reported, not the first one")
    func clientProblems() {
        var configuration = ModbusClient.Configuration(host: "", port: 0)
        configuration.window = 17
        configuration.windowLimit = 0
        configuration.queueLimit = 0
        configuration.lateReplyLimit = 0
        configuration.connectTimeout = .zero
        configuration.backoff = .seconds(3)
        configuration.busyDelay = .seconds(-1)
        configuration.progressTimeout = .seconds(4000)
        configuration.drainTimeout = .zero
        #expect(configuration.validate().count == 11)
        #expect(throws: ModbusError.self) { try ModbusClient(configuration: configuration) }
    }

    @Test("a server says everything that is wrong, too")
    func serverProblems() {
        var configuration = ModbusServer.Configuration(host: "", port: 70_000)
        configuration.maximumConnections = 0
        configuration.idleTimeout = .zero
        #expect(configuration.validate().count == 4)
    }
}
