import ALDTestKit
import NIOSSL
import Testing

@testable import Modbus

/// A DER element of these contents.
private func element(_ tag: UInt8, _ parts: [UInt8]...) -> [UInt8] {
    let content = parts.flatMap { $0 }
    let length: [UInt8] =
        content.count < 0x80
        ? [UInt8(content.count)]
        : content.count < 0x100
            ? [0x81, UInt8(content.count)] : [0x82, UInt8(content.count >> 8), UInt8(content.count & 0xFF)]
    return [tag] + length + content
}

private let roleName: [UInt8] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0x83, 0x89, 0x0C, 0x86, 0x22, 0x01]

private func entry(_ identifier: [UInt8], critical: Bool = false, _ value: [UInt8]) -> [UInt8] {
    element(0x30, element(0x06, identifier), critical ? [0x01, 0x01, 0xFF] : [], element(0x04, value))
}

/// A certificate with these extensions and next to nothing else.
private func certificate(_ extensions: [UInt8]...) -> [UInt8] {
    let list = element(0x30, extensions.flatMap { $0 })
    let signed = element(0x30, element(0xA0, [2, 1, 2]), element(0x02, [7]), element(0xA3, list))
    return element(0x30, signed, element(0x30), element(0x03, [0]))
}

private func fault(_ bytes: [UInt8]) -> CertificateRoleFault? {
    do throws(CertificateRoleFault) {
        _ = try ModbusRole.inCertificate(bytes)
        return nil
    } catch {
        return error
    }
}

@Suite("The role in a certificate", .background)
struct CertificateRoleTests {
    @Test("certificates made by OpenSSL: a role, none, and one of the wrong kind")
    func real() throws {
        func role(_ name: String) throws -> ModbusRole? {
            let certificate = try #require(NIOSSLCertificate.fromPEMFile(TLSFiles.path(name + ".pem")).first)
            return try ModbusRole.inCertificate(certificate.toDERBytes())
        }
        #expect(try role("operator") == ModbusRole("Operator"))
        #expect(try role("nobody") == nil)
        #expect(try role("server") == nil)
        #expect(throws: CertificateRoleFault.notUTF8String) { try role("ia5") }
    }

    @Test("a role is found behind other extensions, critical or not, in any script")
    func found() throws {
        let other = entry([0x55, 0x1D, 0x0F], critical: true, [3, 2, 5, 0xA0])
        let operatorRole = element(0x0C, Array("Operator".utf8))
        #expect(try ModbusRole.inCertificate(certificate(other, entry(roleName, operatorRole)))?.rawValue == "Operator")
        let critical = certificate(entry(roleName, critical: true, operatorRole), other)
        #expect(try ModbusRole.inCertificate(critical)?.rawValue == "Operator")
        let long = String(repeating: "опер", count: 100)
        let cyrillic = certificate(entry(roleName, element(0x0C, Array(long.utf8))))
        #expect(try ModbusRole.inCertificate(cyrillic)?.rawValue == long)
        #expect(try ModbusRole.inCertificate(certificate(other)) == nil)
        #expect(try ModbusRole.inCertificate(certificate()) == nil)
        let neighbour = Array(roleName.dropLast()) + [2]
        #expect(try ModbusRole.inCertificate(certificate(entry(neighbour, operatorRole))) == nil)
    }

    @Test("more than one role is refused, even the same one twice")
    func several() {
        let role = entry(roleName, element(0x0C, Array("Operator".utf8)))
        #expect(fault(certificate(role, role)) == .several(2))
    }

    @Test(
        "what is no UTF8String is no role",
        arguments: [
            [], [0x0C], [0x0C, 2, 0x41], [0x0C, 1, 0x41, 0x00], [0x13, 1, 0x41], [0x0C, 1, 0xFF],
            [0x0C, 0x81, 1, 0x41],
        ] as [[UInt8]])
    func notUTF8(value: [UInt8]) {
        #expect(fault(certificate(entry(roleName, value))) == .notUTF8String)
    }

    @Test("a truncated certificate has no role, wherever it ends")
    func truncated() {
        let whole = certificate(entry(roleName, element(0x0C, Array("Operator".utf8))))
        for length in 0..<whole.count {
            guard case .unreadable = fault(Array(whole.prefix(length))) else {
                Issue.record("\(length) of \(whole.count) bytes")
                continue
            }
        }
        guard case .unreadable = fault(whole + [0]) else {
            Issue.record("something behind the end")
            return
        }
    }

    @Test("thirty thousand mutated certificates: no trap", .background)
    func mutated() throws {
        let file = try #require(NIOSSLCertificate.fromPEMFile(TLSFiles.path("operator.pem")).first)
        let whole = try file.toDERBytes()
        var random = SeededGenerator(seed: 802)
        var unreadable = 0
        for _ in 0..<30_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if fault(bytes) != nil { unreadable += 1 }
        }
        #expect(unreadable > 0)
    }

    @Test("lengths: the shortest encoding and no other")
    func lengths() {
        func length(_ bytes: [UInt8]) -> Int? {
            var reader = DERReader(bytes[...])
            return (try? reader.next())?.content.count
        }
        #expect(length([4, 0]) == 0)
        #expect(length([4, 0x7F] + Array(repeating: 0, count: 0x7F)) == 0x7F)
        #expect(length([4, 0x81, 0x80] + Array(repeating: 0, count: 0x80)) == 0x80)
        #expect(length([4, 0x82, 1, 0] + Array(repeating: 0, count: 0x100)) == 0x100)
        #expect(length([4, 0x80, 0, 0]) == nil, "the end is not marked in DER")
        #expect(length([4, 0x81, 0x7F] + Array(repeating: 0, count: 0x7F)) == nil)
        #expect(length([4, 0x82, 0, 0x80] + Array(repeating: 0, count: 0x80)) == nil)
        #expect(length([4, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]) == nil)
        #expect(length([4, 0x85, 0, 0, 0, 0, 1, 0]) == nil)
        #expect(length([0x1F, 1, 0]) == nil)
    }

    @Test("a certificate that cannot be read is refused; only one that was not asked for is without role")
    func unreadable() throws {
        struct Unreadable: Error {}
        let garbled = #expect(throws: TLSProblem.self) { try ServerSecurity.role { [1, 2, 3] } }
        let lost = #expect(throws: TLSProblem.self) { try ServerSecurity.role { throw Unreadable() } }
        for problem in [garbled, lost] {
            #expect(problem?.description.contains("the client's certificate cannot be read") == true)
        }
        #expect(try ServerSecurity.role { nil } == nil)
        let named = certificate(entry(roleName, element(0x0C, Array("Operator".utf8))))
        #expect(try ServerSecurity.role { named } == ModbusRole("Operator"))
    }
}
