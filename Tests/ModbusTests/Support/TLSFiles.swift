import ALDTestKit
import Modbus

/// The certificates of the TLS tests, made by `Fixtures/Modbus/TLS/make.sh`.
enum TLSFiles {
    static func path(_ name: String) -> String {
        Repository.root + "/Fixtures/Modbus/TLS/" + name
    }

    static func identity(_ name: String) -> ModbusTLS.Identity {
        ModbusTLS.Identity(chain: .file(path(name + ".pem")), key: .file(path(name + ".key")))
    }

    static let authority = ModbusTLS.Trust.authorities(.file(path("authority.pem")))
    static let stranger = ModbusTLS.Trust.authorities(.file(path("stranger.pem")))
}
