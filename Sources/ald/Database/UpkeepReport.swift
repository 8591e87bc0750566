import ALDCore

/// The part of `ald database status` about what has to be done again and again.
enum UpkeepReport {
    static func rows(_ status: SchemaStatus, now: Timestamp) -> [(String, String)] {
        let names = Dictionary(status.machines.map { ($0.id, $0.name) }) { $1 }
        func cells(_ text: (SchemaStatus.Upkeep) -> [String]) -> [[String]] {
            status.upkeep.map { ["\($0.machine)", names[$0.machine] ?? ""] + text($0) }
        }
        func ago(_ time: Timestamp?) -> String { time.map { TextTable.span(span($0, now: now)) + " ago" } ?? "" }
        return SchemaReport.column(
            "rollups",
            cells { upkeep in
                let late =
                    upkeep.lateWaiting == 0 ? [] : [TextTable.counted(upkeep.lateWaiting, "late reading") + " waiting"]
                guard upkeep.rollupsWaiting > 0 else { return ["up to date"] + late }
                return [
                    TextTable.counted(upkeep.rollupsWaiting, "bucket") + " waiting",
                    "the oldest ended \(ago(upkeep.rollupsDueSince))",
                ] + late
            })
            + SchemaReport.column(
                "ledger",
                cells { upkeep in
                    guard upkeep.ledgerBatches > 0 else { return ["empty"] }
                    return [
                        TextTable.counted(upkeep.ledgerBatches, "batch", plural: "batches"),
                        "the oldest from \(ago(upkeep.ledgerSince))",
                        "\(TextTable.grouped(upkeep.ledgerForgotten)) forgotten by their writers",
                    ]
                })
            + SchemaReport.column(
                "letters",
                cells { upkeep in
                    guard upkeep.deadLettersOpen > 0 else { return ["none open"] }
                    return [
                        TextTable.grouped(upkeep.deadLettersOpen) + " OPEN",
                        "the oldest from \(ago(upkeep.deadLettersSince))",
                    ]
                })
            + SchemaReport.column(
                "logins",
                status.logins.map { login in
                    [
                        login.name, login.roles.joined(separator: ", "),
                        login.idleInTransaction.map { "an idle transaction ends after \($0)" }
                            ?? "NO LIMIT: ALTER ROLE \(quoted(login.name)) "
                            + "SET idle_in_transaction_session_timeout = '1min'",
                    ]
                })
    }

    private static func span(_ time: Timestamp, now: Timestamp) -> Duration {
        .microseconds(now.microseconds - time.microseconds)
    }

    /// As SQL wants a name that is not plain.
    private static func quoted(_ name: String) -> String {
        let isPlain = name.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "_") }
        return isPlain ? name : "\"" + name.replacing("\"", with: "\"\"") + "\""
    }

    // MARK: JSON

    struct Upkeep: Encodable {
        var machine_id: Int32
        var rollups_waiting: Int64
        /// 0 when nothing waits.
        var rollups_lag_seconds: Double
        var late_readings_waiting: Int64
        var ledger_batches: Int64
        var ledger_since: String?
        var ledger_forgotten: Int64
        var dead_letters_open: Int64
        var dead_letters_since: String?

        init(_ upkeep: SchemaStatus.Upkeep, now: Timestamp) {
            machine_id = upkeep.machine
            rollups_waiting = upkeep.rollupsWaiting
            rollups_lag_seconds = upkeep.rollupsDueSince.map { span($0, now: now).inSeconds } ?? 0
            late_readings_waiting = upkeep.lateWaiting
            ledger_batches = upkeep.ledgerBatches
            ledger_since = upkeep.ledgerSince.map { "\($0)" }
            ledger_forgotten = upkeep.ledgerForgotten
            dead_letters_open = upkeep.deadLettersOpen
            dead_letters_since = upkeep.deadLettersSince.map { "\($0)" }
        }
    }

    struct Login: Encodable {
        var name: String
        var roles: [String]
        var idle_in_transaction_timeout: String?

        init(_ login: SchemaStatus.Login) {
            name = login.name
            roles = login.roles
            idle_in_transaction_timeout = login.idleInTransaction
        }
    }
}
