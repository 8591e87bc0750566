import Foundation
public import Modbus

/// What is wrong with a register map file, and where.
public struct RegisterMapError: Error, Sendable, CustomStringConvertible {
    public struct Problem: Hashable, Sendable {
        /// Both count from 1; 0 where the problem has no place.
        public var line: Int
        public var column: Int
        /// What stood there and what was expected.
        public var message: String
    }

    public var file: String
    /// At least one, in the order of the file.
    public var problems: [Problem]

    public var description: String {
        problems.map { problem in
            problem.line == 0
                ? "\(file): \(problem.message)" : "\(file):\(problem.line):\(problem.column): \(problem.message)"
        }.joined(separator: "\n")
    }
}

extension RegisterMap {
    /// Reads a register map from a CSV file. `Fixtures/Machine/machine-51.csv` is an example of the format.
    ///
    /// - Throws: ``RegisterMapError`` naming every problem with line and column; nothing is corrected or left out.
    public init(file: String, wordOrder: WordOrder = .cdab) throws(RegisterMapError) {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: file))
        } catch {
            throw RegisterMapError(
                file: file,
                problems: [
                    .init(line: 0, column: 0, message: "cannot be read: \(Self.reason(error))")
                ])
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw RegisterMapError(
                file: file,
                problems: [
                    .init(line: 0, column: 0, message: "is not UTF-8 text; save it as \"CSV UTF-8\"")
                ])
        }
        try self.init(csv: text, file: file, wordOrder: wordOrder)
    }

    /// Reads a register map from CSV text; `file` is only used in messages.
    public init(csv: String, file: String = "register map", wordOrder: WordOrder = .cdab) throws(RegisterMapError) {
        var parser = RegisterMapParser(file: file)
        self.init(checked: try parser.parse(csv), wordOrder: wordOrder)
    }

    private static func reason(_ error: any Error) -> String {
        let error = error as NSError
        return error.code == CocoaError.fileReadNoSuchFile.rawValue
            ? "there is no such file" : error.localizedDescription
    }
}

/// Turns CSV text into parameters and collects every problem on the way.
struct RegisterMapParser {
    /// The columns a file must have. Others that spreadsheets of this kind carry are known and not needed.
    private enum Column: String, CaseIterable {
        case no, component, parameter, unit, min, max, writable
        case readAddress = "read_address"
        case readType = "read_type"
        case writeAddress = "write_address"
        case writeType = "write_type"
        case dataType = "data_type"
        case initial
    }
    private static let ignoredColumns: Set<String> = ["group", "origin"]

    private let file: String
    private var problems: [RegisterMapError.Problem] = []

    init(file: String) {
        self.file = file
    }

    mutating func parse(_ text: String) throws(RegisterMapError) -> [Parameter] {
        let records: [[CSVScanner.Field]]
        do {
            records = try CSVScanner.records(in: text)
        } catch {
            report(error.line, error.column, "a quoted field begins here and never ends; expected a closing \"")
            throw RegisterMapError(file: file, problems: problems)
        }
        guard let header = records.first else {
            report(0, 0, "is empty; expected a header line and one line per parameter")
            throw RegisterMapError(file: file, problems: problems)
        }
        let columns = parseHeader(header)
        try throwIfAny()
        var parameters: [Parameter] = []
        var places: [CSVScanner.Field] = []
        for record in records.dropFirst() {
            guard let parameter = parseRecord(record, columns: columns, width: header.count) else { continue }
            parameters.append(parameter)
            places.append(record[0])
        }
        for conflict in RegisterMapRules.conflicts(among: parameters) {
            report(places[conflict.index].line, places[conflict.index].column, conflict.message)
        }
        if parameters.isEmpty && problems.isEmpty {
            report(header[0].line, header[0].column, "has a header and nothing else; expected one line per parameter")
        }
        try throwIfAny()
        return parameters
    }

    private mutating func parseHeader(_ header: [CSVScanner.Field]) -> [Column: Int] {
        var columns: [Column: Int] = [:]
        for (index, field) in header.enumerated() {
            let name = field.text.trimmingCharacters(in: .whitespaces)
            if let column = Column(rawValue: name) {
                if columns.updateValue(index, forKey: column) != nil {
                    report(field.line, field.column, "column \"\(name)\" stands twice")
                }
            } else if !Self.ignoredColumns.contains(name) {
                let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
                report(field.line, field.column, "unknown column \"\(name)\"; expected \(known)")
            }
        }
        let missing = Column.allCases.filter { columns[$0] == nil }.map { "\"\($0.rawValue)\"" }
        if !missing.isEmpty {
            report(header[0].line, header[0].column, "the header lacks \(missing.joined(separator: ", "))")
        }
        return columns
    }

    private mutating func parseRecord(
        _ record: [CSVScanner.Field], columns: [Column: Int], width: Int
    ) -> Parameter? {
        guard record.count == width else {
            let last = record[record.count - 1]
            report(last.line, last.column, "this line has \(record.count) fields; the header has \(width)")
            return nil
        }
        let before = problems.count
        func field(_ column: Column) -> CSVScanner.Field { record[columns[column] ?? 0] }
        let id = integer(field(.no), in: 1...Int(Int32.max), what: "a parameter number")
        let component = text(field(.component), what: "a component name")
        let name = text(field(.parameter), what: "a parameter name")
        let minimum = number(field(.min), what: "a smallest value")
        let maximum = number(field(.max), what: "a largest value")
        let initial = number(field(.initial), what: "an initial value")
        let type = dataType(field(.dataType))
        let writable = yesOrNo(field(.writable))
        let read = location(field(.readAddress), field(.readType), type: type)
        let write =
            writable == true
            ? location(field(.writeAddress), field(.writeType), type: type, writing: true)
            : noLocation(field(.writeAddress), field(.writeType))
        guard let id, let minimum, let maximum, let initial, let type, let read, before == problems.count else {
            return nil
        }
        guard minimum <= maximum else {
            report(field(.min).line, field(.min).column, "min \(minimum) is above max \(maximum)")
            return nil
        }
        guard (minimum...maximum).contains(initial) else {
            report(
                field(.initial).line, field(.initial).column,
                "initial value \(initial) is outside \(minimum) … \(maximum)")
            return nil
        }
        return Parameter(
            id: ParameterID(rawValue: Int32(id)), component: component, name: name,
            unit: field(.unit).text.trimmingCharacters(in: .whitespaces), range: minimum...maximum, dataType: type,
            readLocation: read, writeLocation: write, initialValue: initial)
    }

    // MARK: Fields

    private mutating func text(_ field: CSVScanner.Field, what: String) -> String {
        let text = field.text.trimmingCharacters(in: .whitespaces)
        if text.isEmpty { report(field.line, field.column, "expected \(what), found nothing") }
        return text
    }

    private mutating func integer(_ field: CSVScanner.Field, in range: ClosedRange<Int>, what: String) -> Int? {
        let text = field.text.trimmingCharacters(in: .whitespaces)
        if let value = Int(text), range.contains(value) { return value }
        report(
            field.line, field.column,
            "expected \(what) from \(range.lowerBound) to \(range.upperBound), found \"\(text)\"")
        return nil
    }

    private mutating func number(_ field: CSVScanner.Field, what: String) -> Double? {
        let text = field.text.trimmingCharacters(in: .whitespaces)
        if let value = Double(text), value.isFinite { return value }
        report(field.line, field.column, "expected \(what) (a number with a decimal point), found \"\(text)\"")
        return nil
    }

    private mutating func yesOrNo(_ field: CSVScanner.Field) -> Bool? {
        switch field.text.trimmingCharacters(in: .whitespaces).lowercased() {
        case "yes", "true": return true
        case "no", "false": return false
        case let other:
            report(field.line, field.column, "expected yes or no, found \"\(other)\"")
            return nil
        }
    }

    private mutating func dataType(_ field: CSVScanner.Field) -> DataType? {
        let text = field.text.trimmingCharacters(in: .whitespaces)
        if let type = DataType(rawValue: text) { return type }
        let known = DataType.allCases.map(\.rawValue).joined(separator: ", ")
        report(field.line, field.column, "unknown data type \"\(text)\"; expected \(known)")
        return nil
    }

    private mutating func location(
        _ address: CSVScanner.Field, _ table: CSVScanner.Field, type: DataType?, writing: Bool = false
    ) -> RegisterLocation? {
        let before = problems.count
        let tables: [String: DataTable] = [
            "coil": .coils, "discrete_input": .discreteInputs, "holding_register": .holdingRegisters,
            "input_register": .inputRegisters,
        ]
        let allowed = writing ? ["coil", "holding_register"] : tables.keys.sorted()
        let tableName = table.text.trimmingCharacters(in: .whitespaces)
        let found = allowed.contains(tableName) ? tables[tableName] : nil
        if found == nil {
            report(
                table.line, table.column,
                "expected \(allowed.joined(separator: ", ")), found \"\(tableName)\"")
        } else if let type, let found, !type.fits(found) {
            report(table.line, table.column, "a \(type.rawValue) needs registers, and \(tableName) holds single bits")
        }
        let count = type.map { $0.addressCount(in: found ?? .holdingRegisters) } ?? 1
        let value = integer(address, in: 0...(65_536 - count), what: "an address")
        guard let found, let value, before == problems.count else { return nil }
        return RegisterLocation(table: found, address: UInt16(value))
    }

    private mutating func noLocation(_ address: CSVScanner.Field, _ table: CSVScanner.Field) -> RegisterLocation? {
        for field in [address, table] where !field.text.trimmingCharacters(in: .whitespaces).isEmpty {
            report(
                field.line, field.column,
                "a parameter that is not writable has no write address; found \"\(field.text)\"")
        }
        return nil
    }

    private mutating func report(_ line: Int, _ column: Int, _ message: String) {
        problems.append(.init(line: line, column: column, message: message))
    }

    private func throwIfAny() throws(RegisterMapError) {
        guard problems.isEmpty else {
            throw RegisterMapError(
                file: file, problems: problems.sorted { ($0.line, $0.column) < ($1.line, $1.column) })
        }
    }
}
