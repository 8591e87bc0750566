public import Foundation

/// A record as people and programs read and write it: JSON with the words of the database.
///
/// ```json
/// {"kind":"reading","parameter_id":3,"time":"2026-11-28T10:00:00.000000Z","value":451.5,"quality":"good"}
/// {"kind":"gap","first_missed_at":"…","last_missed_at":"…","instants":3,"cause":"plc","detail":"…"}
/// {"kind":"event","process_id":7,"number":12,"time":"…","event":"pulse","step_id":3,"loop_iterations":[2],"text":"…",
///  "values":"{\"closed\":\"…\"}"}
/// ```
public struct RecordDocument: Codable, Hashable, Sendable {
    public enum Kind: String, Codable, Sendable {
        case reading, gap, event

        /// That of the records of a stored form; `nil` for a form that is none of a record, or of a later version.
        public init?(format: Int16) {
            switch BatchCoding.Format(rawValue: format) {
            case .history, .unregistered: self = .reading
            case .gaps: self = .gap
            case .processEvents: self = .event
            case .deadLetters, nil: return nil
            }
        }
    }

    public var kind: Kind
    public var parameter_id: Int32?
    /// Component and name, where they are known. For people; not read.
    public var parameter: String?
    public var time: String?
    /// Absent exactly when the quality is bad.
    public var value: Double?
    public var quality: String?
    public var first_missed_at: String?
    public var last_missed_at: String?
    public var instants: Int32?
    public var cause: String?
    public var detail: String?
    public var process_id: Int64?
    public var number: Int64?
    public var event: String?
    public var step_id: Int32?
    public var loop_iterations: [Int32]?
    public var text: String?
    /// A JSON object, written as a text so that not a byte of it changes.
    public var values: String?

    /// Why a document is no record.
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        public var description: String

        public init(description: String) {
            self.description = description
        }
    }

    /// - Returns: `nil` when the letter's bytes are no record that this version knows.
    public init?(_ letter: StoredDeadLetter, names: [ParameterID: String]) {
        do throws(SpoolError) {
            self.init(try letter.record(), names: names)
        } catch {
            return nil
        }
    }

    /// - Returns: `nil` unless it is one reading, one gap or one process event.
    public init?(_ record: Records, names: [ParameterID: String] = [:]) {
        switch record {
        case .history(let rows), .unregistered(let rows):
            guard let row = rows.first, rows.count == 1 else { return nil }
            kind = .reading
            parameter_id = row.parameter.rawValue
            parameter = names[row.parameter]
            time = "\(row.time)"
            value = row.value
            quality = "\(row.quality)"
        case .gaps(let gaps):
            guard let gap = gaps.first, gaps.count == 1 else { return nil }
            kind = .gap
            first_missed_at = "\(gap.firstMissedAt)"
            last_missed_at = "\(gap.lastMissedAt)"
            instants = gap.instants
            cause = gap.cause.rawValue
            detail = gap.detail
        case .processEvents(let events):
            guard let event = events.first, events.count == 1 else { return nil }
            kind = .event
            process_id = event.process
            number = event.number
            time = "\(event.time)"
            self.event = event.kind.rawValue
            step_id = event.step
            loop_iterations = event.iterations
            text = event.text
            values = event.values
        case .deadLetters: return nil
        }
    }

    /// - Throws: ``Problem`` when it is not JSON of this form.
    public init(json: Data) throws(Problem) {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do {
            self = try decoder.decode(RecordDocument.self, from: json)
        } catch let error as DecodingError {
            throw Problem(description: "no record: \(Self.explanation(error))")
        } catch {
            throw Problem(description: "no record: \(error)")
        }
    }

    private static func explanation(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\"\(key.stringValue)\" is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" is of the wrong type"
        case .dataCorrupted(let context): context.debugDescription
        @unknown default: "\(error)"
        }
    }

    /// On one line, keys in order.
    public var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        } catch {
            // Strings, numbers and nothing else: there is nothing that could fail.
            return "null"
        }
    }

    /// The record.
    ///
    /// - Throws: ``Problem``, which names the field.
    public func record() throws(Problem) -> Records {
        func need<Value>(_ field: String, _ value: Value?) throws(Problem) -> Value {
            guard let value else { throw Problem(description: "\"\(field)\" is missing, or makes no sense") }
            return value
        }
        switch kind {
        case .reading:
            let row = HistoryRow(
                parameter: ParameterID(rawValue: try need("parameter_id", parameter_id)),
                time: try need("time", time.flatMap(Timestamp.init(iso8601:))), value: value,
                quality: try need("quality", quality.flatMap(Quality.init(name:))))
            guard (row.value?.isNaN ?? true) == (row.quality == .bad) else {
                throw Problem(
                    description: row.quality == .bad
                        ? "a bad reading has no value" : "a reading without a value has quality bad")
            }
            return .history([row])
        case .gap:
            let gap = CollectionGap(
                firstMissedAt: try need("first_missed_at", first_missed_at.flatMap(Timestamp.init(iso8601:))),
                lastMissedAt: try need("last_missed_at", last_missed_at.flatMap(Timestamp.init(iso8601:))),
                instants: try need("instants", instants),
                cause: try need("cause", cause.flatMap(CollectionGap.Cause.init(rawValue:))),
                detail: try need("detail", detail))
            return .gaps([gap])
        case .event:
            let event = ProcessEvent(
                process: try need("process_id", process_id), number: try need("number", number),
                time: try need("time", time.flatMap(Timestamp.init(iso8601:))),
                kind: try need("event", event.flatMap(ProcessEvent.Kind.init(rawValue:))), step: step_id,
                iterations: loop_iterations ?? [], text: text ?? "", json: values ?? "{}")
            return .processEvents([event])
        }
    }
}

extension Quality {
    /// By the word that ``Quality`` has for it, for instance `good`.
    public init?(name: String) {
        guard let quality = Self.allCases.first(where: { "\($0)" == name }) else { return nil }
        self = quality
    }
}
