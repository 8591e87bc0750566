import NIOCore

extension BatchCoding {
    static func write(_ letter: DeadLetter, to buffer: inout ByteBuffer) {
        buffer.writeInteger(letter.batch.origin)
        buffer.writeInteger(letter.batch.number)
        buffer.writeInteger(letter.row)
        buffer.writeInteger(letter.recordedAt.microseconds)
        buffer.writeInteger(letter.refusedAt.microseconds)
        buffer.writeInteger(letter.attempts)
        buffer.writeInteger(letter.format)
        buffer.writeInteger(Int32(letter.payload.count))
        buffer.writeBytes(letter.payload)
        write(letter.evidence.message, to: &buffer)
        for text in FaultEvidence.texts { write(letter.evidence[keyPath: text], to: &buffer) }
    }

    private static func write(_ text: String?, to buffer: inout ByteBuffer) {
        guard let text else {
            buffer.writeInteger(Int32(-1))
            return
        }
        buffer.writeInteger(Int32(text.utf8.count))
        buffer.writeString(text)
    }

    static func deadLetter(from buffer: inout ByteBuffer) throws(Corrupted) -> DeadLetter {
        guard let origin = buffer.readInteger(as: Int64.self), let number = buffer.readInteger(as: Int64.self),
            let row = buffer.readInteger(as: Int32.self), let recorded = buffer.readInteger(as: Int64.self),
            let refused = buffer.readInteger(as: Int64.self), let attempts = buffer.readInteger(as: Int32.self),
            let format = buffer.readInteger(as: Int16.self), let length = buffer.readInteger(as: Int32.self),
            length >= 0, let payload = buffer.readBytes(length: Int(length)),
            let message = try text(from: &buffer)
        else { throw Corrupted(reason: "a dead letter is cut short") }
        var evidence = FaultEvidence(message: message)
        for place in FaultEvidence.texts { evidence[keyPath: place] = try text(from: &buffer) }
        return DeadLetter(
            batch: BatchID(origin: origin, number: number), row: row, format: format, payload: payload,
            recordedAt: Timestamp(microseconds: recorded), refusedAt: Timestamp(microseconds: refused),
            attempts: attempts, evidence: evidence)
    }

    private static func text(from buffer: inout ByteBuffer) throws(Corrupted) -> String? {
        guard let length = buffer.readInteger(as: Int32.self) else {
            throw Corrupted(reason: "a dead letter is cut short")
        }
        if length == -1 { return nil }
        guard length >= 0, let text = buffer.readString(length: Int(length)) else {
            throw Corrupted(reason: "a dead letter is cut short")
        }
        return text
    }
}
