import ALDTestKit

/// What `ald bench sync` has measured, as a table for people and as JSON. Fields are added, never renamed or removed.
struct SyncReport: Encodable {
    struct Side: Encodable {
        var rows_per_second: Double?
        /// How long a cycle took to land, by percentile.
        var landing_seconds: [String: Double]
        var landing_mean_seconds: Double?
        /// How long a cycle has its transaction open, on average.
        var transaction_seconds: Double?
        /// Of this process, for each cycle.
        var processor_seconds: Double?
        var heap_bytes: Double?
        /// Of the cycles, 0…1.
        var success: Double?
        var deadlocks: Double?

        init(_ name: String, _ result: ScenarioResult) {
            rows_per_second = result.measurement("\(name): rows")
            heap_bytes = result.measurement("\(name): heap")
            success = result.measurement("\(name): success")
            landing_mean_seconds = result.measurement("\(name): landing mean")
            transaction_seconds = result.measurement("\(name): transaction mean")
            processor_seconds = result.measurement("\(name): processor time a cycle")
            deadlocks = result.measurement("\(name): deadlocks")
            landing_seconds = SyncReport.landing(name, result)
        }
    }

    /// Batches of one size, each delivered alone.
    struct BatchSize: Encodable {
        var rows: Int
        var rows_per_second: Double
        /// What part of the best size's rows a second it is, 0…1.
        var efficiency: Double
    }

    /// Several writers at the same time.
    struct Together: Encodable {
        var writers = QuickBenchmark.writers
        var rows_per_second: Double
        var landing_seconds: [String: Double]
        var success: Double?
        var deadlocks: Double?

        init?(_ result: ScenarioResult) {
            guard let rows = result.measurement("together: rows") else { return nil }
            rows_per_second = rows
            landing_seconds = SyncReport.landing("together", result)
            success = result.measurement("together: success")
            deadlocks = result.measurement("together: deadlocks")
        }
    }

    static func landing(_ name: String, _ result: ScenarioResult) -> [String: Double] {
        percentiles.reduce(into: [:]) { $0[$1] = result.measurement("\(name): landing \($1)") }
    }

    static let percentiles = ["p50", "p95", "p99", "max"]

    var parameters: Int
    var cycles_per_second: Double
    var seconds: Double
    var seed: UInt64
    var history_alone: Side
    var synchronised: Side
    /// These three as parts of what they are with history alone, positive when it gets worse.
    var throughput_reduction: Double?
    var latency_increase: Double?
    var memory_increase: Double?
    var memory_bytes_per_parameter: Double?
    var success: Double?
    var batch_sizes: [BatchSize]
    var together: Together?
    var impact: SynchronisationImpact?
    var verdict: Verdict
    var reasons: [String]
    private var findings: [ALDTestKit.Finding]

    private enum CodingKeys: CodingKey {
        case parameters, cycles_per_second, seconds, seed, history_alone, synchronised, throughput_reduction
        case latency_increase, memory_increase, memory_bytes_per_parameter, success, batch_sizes, together, impact
        case verdict, reasons
    }

    init(_ result: ScenarioResult, parameters: Int, rate: Double) {
        self.parameters = parameters
        cycles_per_second = rate
        seconds = result.plannedSeconds
        seed = result.seed
        history_alone = Side("history alone", result)
        synchronised = Side("synchronised", result)
        throughput_reduction = result.measurement("throughput reduction")
        latency_increase = result.measurement("latency increase")
        memory_increase = result.measurement("memory increase")
        memory_bytes_per_parameter = result.measurement("memory for each parameter")
        success = result.measurement("success")
        batch_sizes = QuickBenchmark.sizes.compactMap { size in
            guard let rows = result.measurement("batches of \(size): rows per second"),
                let efficiency = result.measurement("batches of \(size): efficiency")
            else { return nil }
            return BatchSize(rows: size, rows_per_second: rows, efficiency: efficiency)
        }
        together = Together(result)
        if let reduction = throughput_reduction, let increase = latency_increase, reduction.isFinite, increase.isFinite,
            result.measurement("cycles a side") ?? 0 >= Double(SynchronisationImpact.fewestCycles)
        {
            impact = SynchronisationImpact(throughputReduction: reduction, latencyIncrease: increase)
        }
        verdict = result.verdict
        reasons = result.reasons
        findings = result.findings
    }

    // MARK: For people

    var lines: [String] {
        let (plain, both) = (history_alone, synchronised)
        var rows = [["", "HISTORY ALONE", "SYNCHRONISED", "CHANGE", "TARGET", ""]]
        rows.append(
            row(
                "Rows", .perSecond, plain.rows_per_second, both.rows_per_second,
                change: throughput_reduction.map { -$0 }, "throughput reduction", sign: "−"))
        for percentile in Self.percentiles {
            let (before, after) = (plain.landing_seconds[percentile], both.landing_seconds[percentile])
            // The target is one for the median.
            let isJudged = percentile == "p50"
            rows.append(
                row("Landing \(percentile)", .seconds, before, after, isJudged ? "latency increase" : nil))
        }
        for (name, value) in [
            ("Landing mean", \Side.landing_mean_seconds), ("Transaction mean", \.transaction_seconds),
            ("Processor a cycle", \.processor_seconds),
        ] where plain[keyPath: value] != nil {
            rows.append(row(name, .seconds, plain[keyPath: value], both[keyPath: value]))
        }
        rows.append(
            row("Heap", .bytes, plain.heap_bytes, both.heap_bytes, change: memory_increase, "memory increase"))
        rows.append(row("Success", .ratio, plain.success, both.success, change: .some(nil), "success", sign: ""))
        if plain.deadlocks != nil {
            rows.append(row("Deadlocks", .count, plain.deadlocks, both.deadlocks, change: .some(nil)))
        }
        var lines = [
            "\(TextTable.counted(parameters, "parameter")), \(Quantity.count.text(cycles_per_second)) cycles a second, "
                + "\(Quantity.seconds.text(seconds)) in turns",
            "",
        ]
        lines += TextTable.lines(rows)
        if !batch_sizes.isEmpty {
            let sizes = batch_sizes.map { size in
                [
                    "\(size.rows) rows", Quantity.perSecond.text(size.rows_per_second),
                    Quantity.ratio.text(size.efficiency),
                ]
            }
            lines += [""] + TextTable.lines([["BATCHES OF", "ROWS", "OF THE BEST"]] + sizes)
        }
        if let together {
            let waits = Self.percentiles.compactMap { percentile in
                together.landing_seconds[percentile].map { "\(percentile) \(Quantity.seconds.text($0))" }
            }
            lines += [
                "",
                "\(together.writers) writers at a time: \(Quantity.perSecond.text(together.rows_per_second)) rows, landing "
                    + waits.joined(separator: ", "),
            ]
        }
        lines += ["", "Impact  \(impact?.rawValue ?? "not known")", "Verdict \(verdict.rawValue)"]
        return lines + reasons.map { "        \($0)" }
    }

    private func row(
        _ name: String, _ quantity: Quantity, _ before: Double?, _ after: Double?, change known: Double?? = nil,
        _ measure: String? = nil, sign: String = "+"
    ) -> [String] {
        // Where none is given, it is that of the two values.
        let change = known ?? before.flatMap { before in after.map { $0 / before - 1 } }
        let finding = findings.first { $0.criterion.measure == measure }
        let target = finding.map { finding in
            "\(finding.criterion.relation.rawValue) \(sign)\(Quantity.ratio.text(finding.criterion.bound))"
        }
        return [
            name, before.map(quantity.text) ?? "–", after.map(quantity.text) ?? "–", change.map(Self.signed) ?? "",
            // Less than a fifth lost is more than minus a fifth.
            sign == "−" ? target.map { $0.replacing("<", with: ">") } ?? "" : target ?? "",
            finding.map { $0.verdict == .pass ? "met" : $0.verdict == .fail ? "MISSED" : "unknown" } ?? "",
        ]
    }

    private static func signed(_ ratio: Double) -> String {
        (ratio < 0 ? "−" : "+") + Quantity.ratio.text(abs(ratio))
    }
}
