import ALDTestKit

/// What `ald bench sync` has measured, as a table for people and as JSON. Fields are added, never renamed or removed.
struct SyncReport: Encodable {
    struct Side: Encodable {
        var rows_per_second: Double?
        /// How long a cycle took to land, by percentile.
        var landing_seconds: [String: Double]
        var heap_bytes: Double?
        /// Of the cycles, 0…1.
        var success: Double?

        init(_ name: String, _ result: ScenarioResult) {
            rows_per_second = result.measurement("\(name): rows")
            heap_bytes = result.measurement("\(name): heap")
            success = result.measurement("\(name): success")
            landing_seconds = [:]
            for percentile in SyncReport.percentiles {
                landing_seconds[percentile] = result.measurement("\(name): landing \(percentile)")
            }
        }
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
    var success: Double?
    var impact: SynchronisationImpact?
    var verdict: Verdict
    var reasons: [String]
    private var findings: [ALDTestKit.Finding]

    private enum CodingKeys: CodingKey {
        case parameters, cycles_per_second, seconds, seed, history_alone, synchronised, throughput_reduction
        case latency_increase, memory_increase, success, impact, verdict, reasons
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
        success = result.measurement("success")
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
                row(
                    "Landing \(percentile)", .seconds, before, after,
                    change: before.flatMap { before in after.map { $0 / before - 1 } },
                    isJudged ? "latency increase" : nil))
        }
        rows.append(
            row("Heap", .bytes, plain.heap_bytes, both.heap_bytes, change: memory_increase, "memory increase"))
        rows.append(row("Success", .ratio, plain.success, both.success, change: nil, "success", sign: ""))
        var lines = [
            "\(TextTable.counted(parameters, "parameter")), \(Quantity.count.text(cycles_per_second)) cycles a second, "
                + "\(Quantity.seconds.text(seconds)) in turns",
            "",
        ]
        lines += TextTable.lines(rows)
        lines += ["", "Impact  \(impact?.rawValue ?? "not known")", "Verdict \(verdict.rawValue)"]
        return lines + reasons.map { "        \($0)" }
    }

    private func row(
        _ name: String, _ quantity: Quantity, _ before: Double?, _ after: Double?, change: Double?,
        _ measure: String?, sign: String = "+"
    ) -> [String] {
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
