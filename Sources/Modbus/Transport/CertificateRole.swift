/// Why a certificate's role cannot be used.
enum CertificateRoleFault: Error, Hashable, CustomStringConvertible {
    /// The certificate has the extension more than once.
    case several(Int)
    /// The extension holds something else than one UTF8String.
    case notUTF8String
    /// The certificate is no certificate.
    case unreadable(String)

    var description: String {
        switch self {
        case .several(let count):
            "the client's certificate has \(count) role extensions; issue one with a single role"
        case .notUTF8String:
            "the role in the client's certificate is no ASN.1 UTF8String; issue one whose role is"
        case .unreadable(let fault):
            "the client's certificate cannot be read: \(fault)"
        }
    }
}

extension ModbusRole {
    /// 1.3.6.1.4.1.50316.802.1, as DER has it.
    static let extensionIdentifier: [UInt8] = [0x2B, 6, 1, 4, 1, 0x83, 0x89, 0x0C, 0x86, 0x22, 1]

    private enum Tag {
        static let boolean: UInt8 = 0x01
        static let octetString: UInt8 = 0x04
        static let objectIdentifier: UInt8 = 0x06
        static let utf8String: UInt8 = 0x0C
        static let sequence: UInt8 = 0x30
        /// `[3] EXPLICIT Extensions` of a TBSCertificate (RFC 5280 §4.1).
        static let extensions: UInt8 = 0xA3
    }

    /// The role named in an X.509 certificate; nil when it names none.
    ///
    /// - Parameter certificate: in DER.
    static func inCertificate(_ certificate: [UInt8]) throws(CertificateRoleFault) -> ModbusRole? {
        let values: [ArraySlice<UInt8>]
        do throws(DERFault) {
            values = try roleExtensions(certificate)
        } catch {
            throw .unreadable(error.description)
        }
        guard values.count <= 1 else { throw .several(values.count) }
        return try values.first.map { value throws(CertificateRoleFault) in try role(value) }
    }

    private static func role(_ value: ArraySlice<UInt8>) throws(CertificateRoleFault) -> ModbusRole {
        do throws(DERFault) {
            var reader = DERReader(value)
            let element = try reader.next(Tag.utf8String)
            try reader.finish()
            guard let name = String(validating: element.content, as: UTF8.self) else { throw DERFault(description: "") }
            return ModbusRole(name)
        } catch {
            throw .notUTF8String
        }
    }

    private static func roleExtensions(_ certificate: [UInt8]) throws(DERFault) -> [ArraySlice<UInt8>] {
        var file = DERReader(certificate[...])
        var whole = try file.next(Tag.sequence).reader
        try file.finish()
        var fields = try whole.next(Tag.sequence).reader
        var values: [ArraySlice<UInt8>] = []
        while let field = try fields.next() {
            guard field.tag == Tag.extensions else { continue }
            var explicit = field.reader
            var list = try explicit.next(Tag.sequence).reader
            try explicit.finish()
            while let entry = try list.next() {
                guard entry.tag == Tag.sequence else { throw DERFault(description: "an extension that is no sequence") }
                if let value = try roleValue(entry) { values.append(value) }
            }
        }
        return values
    }

    /// `Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }`
    private static func roleValue(_ entry: DERReader.Element) throws(DERFault) -> ArraySlice<UInt8>? {
        var fields = entry.reader
        guard try fields.next(Tag.objectIdentifier).content.elementsEqual(extensionIdentifier) else { return nil }
        guard let second = try fields.next() else { throw DERFault(description: "an extension without a value") }
        let value = second.tag == Tag.boolean ? try fields.next(Tag.octetString) : second
        guard value.tag == Tag.octetString else { throw DERFault(description: "an extension without a value") }
        try fields.finish()
        return value.content
    }
}
