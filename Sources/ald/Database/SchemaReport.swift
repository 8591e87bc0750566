import ALDCore
import Foundation

/// What `ald database status` and `ald database seed` print.
enum SchemaReport {
    static func text(_ status: SchemaStatus, now: Timestamp) -> String {
        var rows: [(String, String)] = [
            ("database", "\(status.database), PostgreSQL \(status.serverVersion)"),
            ("schema", schema(status)),
        ]
        rows += column("pending", status.pending.map { ["\($0.version)", $0.name] })
        if status.version > 0 {
            rows += column(
                "machines",
                status.machines.isEmpty
                    ? [["none"]] : status.machines.map { ["\($0.id)", $0.name, "\($0.parameters) parameters"] })
            rows += column("partitions", status.partitionedTables.map(partitions))
            rows.append(("size", ByteCountFormatter.string(fromByteCount: status.bytes, countStyle: .decimal)))
            rows += column("roles", status.roles.map { [$0.name, $0.exists ? members($0.members) : "MISSING"] })
            rows += UpkeepReport.rows(status, now: now)
        }
        return rows.map { label, text in
            label + String(repeating: " ", count: 12 - label.count) + text + "\n"
        }.joined()
    }

    private static func members(_ count: Int) -> String { count == 1 ? "1 member" : "\(count) members" }

    private static func schema(_ status: SchemaStatus) -> String {
        let version = status.version == 0 ? "none" : "version \(status.version)"
        return status.pending.isEmpty
            ? "\(version), up to date"
            : "\(version), \(status.pending.count) pending; run `ald database migrate`"
    }

    private static func partitions(_ table: SchemaStatus.PartitionedTable) -> [String] {
        let until = table.readyUntil.map { "ready until \($0)" } ?? ""
        return [table.name, "\(table.partitions)", until]
    }

    /// Cells that line up under one label, which stands in the first row alone.
    static func column(_ label: String, _ cells: [[String]]) -> [(String, String)] {
        var widths: [Int] = []
        for row in cells {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], cell.count)
            }
        }
        return cells.enumerated().map { index, row in
            let line = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
                .joined(separator: "  ")
            return (index == 0 ? label : "", String(line.reversed().drop { $0 == " " }.reversed()))
        }
    }

    // MARK: JSON

    /// Fields are added, never renamed or removed.
    private struct Report: Encodable {
        struct Pending: Encodable {
            var version: Int32
            var name: String
        }
        struct Machine: Encodable {
            var machine_id: Int32
            var name: String
            var parameters: Int
        }
        struct Partitioned: Encodable {
            var table: String
            var partitions: Int
            var ready_until: String?
        }
        struct Role: Encodable {
            var name: String
            var exists: Bool
            var members: Int
        }

        var database: String
        var server_version: String
        var schema_version: Int32
        var is_up_to_date: Bool
        var pending: [Pending]
        var machines: [Machine]
        var partitioned_tables: [Partitioned]
        var bytes: Int64
        var roles: [Role]
        var upkeep: [UpkeepReport.Upkeep]
        var logins: [UpkeepReport.Login]
    }

    static func json(_ status: SchemaStatus, now: Timestamp) throws -> String {
        let report = Report(
            database: status.database, server_version: status.serverVersion, schema_version: status.version,
            is_up_to_date: status.pending.isEmpty,
            pending: status.pending.map { .init(version: $0.version, name: $0.name) },
            machines: status.machines.map { .init(machine_id: $0.id, name: $0.name, parameters: $0.parameters) },
            partitioned_tables: status.partitionedTables.map {
                .init(table: $0.name, partitions: $0.partitions, ready_until: $0.readyUntil.map { "\($0)" })
            },
            bytes: status.bytes,
            roles: status.roles.map { .init(name: $0.name, exists: $0.exists, members: $0.members) },
            upkeep: status.upkeep.map { UpkeepReport.Upkeep($0, now: now) },
            logins: status.logins.map(UpkeepReport.Login.init))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
    }

    // MARK: Seed

    static func text(_ changes: MachineRegistration.Changes, of machine: MachineRegistration) -> String {
        var lines: [String] = []
        if changes.isNewMachine { lines.append("new machine") }
        if !changes.added.isEmpty {
            lines.append("\(changes.added.count) of \(machine.entries.count) parameters added")
        }
        lines += column("changed", changes.differences.map { [$0.parameter, $0.property, "\($0.old) → \($0.new)"] })
            .map { padded($0.0) + $0.1 }
        lines += column("kept", changes.absent.map { [$0, "not in the register map any more"] })
            .map { padded($0.0) + $0.1 }
        if changes.isEmpty { lines.append("nothing to change, \(machine.entries.count) parameters") }
        return "machine \(machine.machine) \"\(machine.name)\":\n" + lines.map { "  \($0)\n" }.joined()
    }

    private static func padded(_ label: String) -> String { label + String(repeating: " ", count: 9 - label.count) }
}
