import NIOCore

extension BatchCoding {
    static func write(_ event: ProcessEvent, to buffer: inout ByteBuffer) {
        buffer.writeInteger(event.process)
        buffer.writeInteger(event.number)
        buffer.writeInteger(event.time.microseconds)
        buffer.writeInteger(event.step ?? 0)
        buffer.writeInteger(Int32(event.iterations.count))
        for iteration in event.iterations { buffer.writeInteger(iteration) }
        for text in [event.kind.rawValue, event.text, event.values] {
            buffer.writeInteger(Int32(text.utf8.count))
            buffer.writeString(text)
        }
    }

    static func processEvent(from buffer: inout ByteBuffer) throws(Corrupted) -> ProcessEvent {
        let cutShort = Corrupted(reason: "a process event is cut short")
        guard let process = buffer.readInteger(as: Int64.self), let number = buffer.readInteger(as: Int64.self),
            let time = buffer.readInteger(as: Int64.self), let step = buffer.readInteger(as: Int32.self),
            let depth = buffer.readInteger(as: Int32.self), depth >= 0, Int(depth) * 4 <= buffer.readableBytes
        else { throw cutShort }
        var iterations: [Int32] = []
        for _ in 0..<depth { if let iteration = buffer.readInteger(as: Int32.self) { iterations.append(iteration) } }
        var texts: [String] = []
        for _ in 0..<3 {
            guard let length = buffer.readInteger(as: Int32.self), length >= 0,
                let text = buffer.readString(length: Int(length))
            else { throw cutShort }
            texts.append(text)
        }
        guard let kind = ProcessEvent.Kind(rawValue: texts[0]) else {
            throw Corrupted(reason: "a process event of kind \"\(texts[0])\", which this version does not know")
        }
        return ProcessEvent(
            process: process, number: number, time: Timestamp(microseconds: time), kind: kind,
            step: step == 0 ? nil : step, iterations: iterations, text: texts[1], json: texts[2])
    }
}
