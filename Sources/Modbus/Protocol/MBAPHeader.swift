public import NIOCore

/// The seven bytes in front of every PDU on TCP (MODBUS Messaging on TCP/IP V1.0b §3.1.3): transaction, protocol
/// (always 0), length of what follows, unit.
///
/// A value of this type is always sound; its length has been judged.
public struct MBAPHeader: Hashable, Sendable {
    /// Chosen by the client, echoed by the server.
    public let transaction: UInt16
    /// The device that is meant.
    public let unit: UnitID
    /// Bytes of the PDU, 1…253.
    public let pduSize: Int

    /// Creates the header of a PDU, or nil when `pduSize` is not 1…253.
    public init?(transaction: UInt16, unit: UnitID, pduSize: Int) {
        guard (1...ModbusLimits.maximumPDUSize).contains(pduSize) else { return nil }
        self.transaction = transaction
        self.unit = unit
        self.pduSize = pduSize
    }

    /// Why bytes are no Modbus header. After one of these the stream has no known frame boundary any more.
    public enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        /// The protocol field is not 0.
        case protocolIdentifier(UInt16)
        /// The length field is not 2…254.
        case length(UInt16)

        public var description: String {
            switch self {
            case .protocolIdentifier(let value): "protocol identifier \(value) where 0 was expected"
            case .length(let value):
                "header length \(value) outside \(ModbusLimits.headerLengths.lowerBound)…"
                    + "\(ModbusLimits.headerLengths.upperBound)"
            }
        }
    }

    /// What the unread bytes of a stream begin with.
    public enum Judgement: Hashable, Sendable {
        /// Sound so far; more bytes are needed.
        case incomplete
        /// A header whose PDU has arrived completely.
        case complete(MBAPHeader)
        /// Not Modbus.
        case faulty(Fault)
    }

    /// Judges the unread bytes of `buffer` without consuming them, as soon as six of them are there.
    public static func judge(_ buffer: ByteBuffer) -> Judgement {
        let start = buffer.readerIndex
        guard let transaction = buffer.getInteger(at: start, as: UInt16.self),
            let protocolIdentifier = buffer.getInteger(at: start + 2, as: UInt16.self),
            let length = buffer.getInteger(at: start + 4, as: UInt16.self)
        else { return .incomplete }
        guard protocolIdentifier == 0 else { return .faulty(.protocolIdentifier(protocolIdentifier)) }
        guard ModbusLimits.headerLengths.contains(Int(length)) else { return .faulty(.length(length)) }
        guard buffer.readableBytes >= ModbusLimits.headerPrefixSize + Int(length),
            let unit = buffer.getInteger(at: start + ModbusLimits.headerPrefixSize, as: UInt8.self),
            let header = MBAPHeader(transaction: transaction, unit: UnitID(unit), pduSize: Int(length) - 1)
        else { return .incomplete }
        return .complete(header)
    }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger(transaction)
        buffer.writeInteger(0, as: UInt16.self)
        buffer.writeInteger(UInt16(pduSize + 1))
        buffer.writeInteger(unit.rawValue)
    }
}
