import ALDCore

/// The status of a process without Terminal 1.
struct JSONTerminals: Encodable {
    var event: String
    var machine: String
    var terminals: [JSONStatus.TerminalStatus]

    init(_ lines: [TerminalLine], machine: String, event: String) {
        self.event = event
        self.machine = machine
        terminals = lines.map(JSONStatus.TerminalStatus.init)
    }
}

/// A status as programs read it. Fields are added, never renamed or removed; units stand in the names.
struct JSONStatus: Encodable {
    struct Distribution: Encodable {
        var count: Int
        var p50: Double
        var p99: Double
        var max: Double

        init(_ histogram: DurationHistogram) {
            count = histogram.count
            p50 = histogram.percentile(50).inSeconds
            p99 = histogram.percentile(99).inSeconds
            max = histogram.max.inSeconds
        }
    }

    struct TerminalStatus: Encodable {
        var terminal: String
        var text: String
        var problem: String?
        var restarts: Int

        init(_ line: TerminalLine) {
            terminal = line.terminal.rawValue
            text = line.text
            problem = line.problem
            restarts = line.restarts
        }
    }

    var event: String
    var machine: String
    var parameters: Int
    var running_seconds: Double
    var cycles: Int
    var rows: Int
    var rows_without_value: Int
    var missed_late: Int
    var missed_plc: Int
    var missed_spool: Int
    var gap_records: Int
    var interval_jitter_seconds: Distribution
    var cycle_time_seconds: Distribution
    var carried_over: Int
    var accepted: Int
    var landed: Int
    var spooled: Int
    var is_balanced: Bool
    var rows_in_database: Int?
    var plc_up: Bool
    var plc: String
    var database_up: Bool
    var database: String
    var terminals: [TerminalStatus]

    init(_ status: StationStatus, event: String) {
        self.event = event
        machine = status.machine
        parameters = status.parameters
        running_seconds = status.running.inSeconds
        cycles = status.collection.cycles
        rows = status.collection.rows
        rows_without_value = status.collection.badRows
        missed_late = status.collection.missedLate
        missed_plc = status.collection.missedPLC
        missed_spool = status.collection.missedSpool
        gap_records = status.collection.gapRecords
        interval_jitter_seconds = Distribution(status.collection.jitter)
        cycle_time_seconds = Distribution(status.collection.cycleTime)
        carried_over = status.writer.carriedOver
        accepted = status.writer.accepted
        landed = status.writer.landed
        spooled = status.spooled
        is_balanced = status.isBalanced
        rows_in_database = status.rowsCounted
        plc_up = status.plc.isUp
        plc = status.plc.place
        database_up = status.database.isUp
        database = status.database.place
        terminals = status.terminals.map(TerminalStatus.init)
    }
}
