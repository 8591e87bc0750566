/// Results as one page that needs nothing else: no scripts, no network.
public struct HTMLReport: Sendable {
    public var results: [ScenarioResult]
    private let comparison: RunComparison
    /// Scenarios of which several results were given.
    private let repeated: [String]

    /// Shorter runs show no trend.
    private static let shortestTrend = 60.0

    /// - Parameters:
    ///   - results: of several of one scenario the newest counts.
    ///   - earlier: a run before; its scenarios of the same number are put beside.
    public init(_ results: [ScenarioResult], comparedWith earlier: [ScenarioResult] = []) {
        let places = Dictionary(Catalogue.scenarios.enumerated().map { ($0.element.id, $0.offset) }) { first, _ in first
        }
        let (kept, leftOut) = ResultFile.newest(results)
        repeated = Set(leftOut).sorted()
        comparison = RunComparison(of: kept, with: ResultFile.newest(earlier).kept)
        self.results = kept.sorted { (places[$0.id] ?? .max, $0.id) < (places[$1.id] ?? .max, $1.id) }
    }

    /// What a reader has to know besides the results, as sentences.
    public var remarks: [String] {
        var remarks: [String] = []
        if !repeated.isEmpty {
            remarks.append("Several results of \(repeated.joined(separator: ", ")): the newest of each counts.")
        }
        if !comparison.missing.isEmpty {
            remarks.append("Only in the earlier run: \(comparison.missing.joined(separator: ", ")).")
        }
        if !comparison.new.isEmpty {
            remarks.append("Not in the earlier run: \(comparison.new.joined(separator: ", ")).")
        }
        return remarks
    }

    public var page: String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>ALDCore: \(results.count) scenarios</title><style>\(Self.style)</style></head><body><main>
        <h1>Scenarios</h1>
        \(summary)
        \(table)
        \(results.map(section).joined(separator: "\n"))
        </main></body></html>

        """
    }

    // MARK: Parts

    private var summary: String {
        let counts = Verdict.allCases.map { verdict in
            "<b class=\"\(verdict.rawValue)\">\(results.count { $0.verdict == verdict }) \(verdict.rawValue)</b>"
        }
        var lines = ["<p>\(counts.joined(separator: " · "))</p>"]
        for machine in Set(results.map(\.machine)).sorted(by: { $0.build < $1.build }) {
            let memory = Quantity.bytes.text(Double(machine.memoryBytes))
            let compiler = machine.compiler.map { ", \($0)" } ?? ""
            lines.append(
                small(
                    "\(machine.processor), \(machine.cores) cores, \(memory), \(machine.system), "
                        + "\(machine.build) build\(compiler)"))
        }
        let servers = Set(results.compactMap(\.postgres)).sorted()
        if !servers.isEmpty { lines.append(small("PostgreSQL \(servers.joined(separator: ", "))")) }
        let commits = Set(results.compactMap(\.commit)).sorted()
        if !commits.isEmpty { lines.append(small("Commit \(commits.joined(separator: ", "))")) }
        for gates in Set(results.compactMap(\.gates)).sorted(by: { $0.joined() < $1.joined() }) where !gates.isEmpty {
            lines.append(small("Run with \(gates.joined(separator: " "))"))
        }
        lines += remarks.map { "<p class=\"unknown\">\(HTML.escaped($0))</p>" }
        let isComparable = comparison.earlier.values.allSatisfy { before in
            results.allSatisfy { $0.id != before.id || $0.machine.isComparable(to: before.machine) }
        }
        if !isComparable {
            lines.append(
                "<p class=\"unknown\">The earlier run is of another machine or build: compare counts, not times.</p>")
        }
        return lines.joined(separator: "\n")
    }

    private func small(_ text: String) -> String { "<p class=\"small\">\(HTML.escaped(text))</p>" }

    private var isComparing: Bool { !comparison.earlier.isEmpty }

    private var table: String {
        let rows = results.map { result in
            let id = HTML.escaped(result.id)
            return "<tr><td><a href=\"#\(id)\">\(id)</a></td><td>\(verdict(result.verdict))</td>\(before(result))"
                + "<td>\(HTML.escaped(result.title))<br><span class=\"small\">\(HTML.escaped(result.requirement))</span>"
                + reasons(result) + worsenings(result) + "</td><td class=\"number\">\(time(result))</td></tr>"
        }
        let earlier = isComparing ? "<th>Earlier</th>" : ""
        return "<table><tr><th>Scenario</th><th>Verdict</th>\(earlier)<th>Requirement</th><th>Time</th></tr>"
            + rows.joined(separator: "\n") + "</table>"
    }

    /// The cell with the earlier verdict.
    private func before(_ result: ScenarioResult) -> String {
        guard isComparing else { return "" }
        guard let before = comparison.earlier[result.id] else { return "<td>new</td>" }
        let mark = comparison.isVerdictWorse(result) ? " <b class=\"fail\">worse</b>" : ""
        return "<td>\(verdict(before.verdict))\(mark)</td>"
    }

    private func worsenings(_ result: ScenarioResult) -> String {
        comparison.worsenings(result).map { change in
            let (now, before) = (change.quantity.text(change.now), change.quantity.text(change.before))
            return
                "<br><span class=\"unknown\">worse: \(HTML.escaped(change.measure)) is \(now), earlier \(before)</span>"
        }
        .joined()
    }

    private func time(_ result: ScenarioResult) -> String {
        let planned = Quantity.seconds.text(result.plannedSeconds) + (result.isVirtual ? " virtual" : "")
        let nominal =
            result.plannedSeconds < result.nominalSeconds
            ? "<br><span class=\"small\">of \(Quantity.seconds.text(result.nominalSeconds))</span>" : ""
        return planned + nominal
    }

    private func reasons(_ result: ScenarioResult) -> String {
        result.reasons.map { "<br><span class=\"\(result.verdict.rawValue)\">\(HTML.escaped($0))</span>" }.joined()
    }

    private func verdict(_ verdict: Verdict) -> String {
        "<span class=\"badge \(verdict.rawValue)\">\(verdict.rawValue)</span>"
    }

    private func section(_ result: ScenarioResult) -> String {
        let id = HTML.escaped(result.id)
        var parts = [
            "<section id=\"\(id)\"><h2>\(id) \(HTML.escaped(result.title)) \(verdict(result.verdict))</h2>",
            "<p>\(HTML.escaped(result.requirement))</p>",
            "<p class=\"small\">\(HTML.escaped(result.startedAt)), took \(Quantity.seconds.text(result.elapsedSeconds)); "
                + "again with <code>\(HTML.escaped(result.replay))</code></p>",
        ]
        if !result.findings.isEmpty { parts.append(findings(result)) }
        parts.append("<div class=\"charts\">")
        if !result.distributions.isEmpty { parts.append(distributions(result)) }
        parts += result.series.map { series($0, of: result) }
        parts.append("</div>")
        if !result.faults.isEmpty { parts.append(faults(result.faults)) }
        if !result.measurements.isEmpty { parts.append(measurements(result)) }
        if !result.notes.isEmpty {
            let notes = result.notes.map { "<li>\(HTML.escaped($0))</li>" }.joined()
            parts.append("<details><summary>\(result.notes.count) notes</summary><ul>\(notes)</ul></details>")
        }
        return parts.joined(separator: "\n") + "</section>"
    }

    private func findings(_ result: ScenarioResult) -> String {
        let rows = result.findings.map { finding in
            let quantity = result.quantity(of: finding.criterion)
            let before = comparison.earlier[result.id]?.measured(finding.criterion)
            let earlier = isComparing ? "<td class=\"number\">\(before.map(quantity.text) ?? "–")</td>" : ""
            return "<tr><td>\(HTML.escaped(finding.criterion.measure))</td>"
                + "<td class=\"number\">\(finding.value.map(quantity.text) ?? "–")</td>\(earlier)"
                + "<td>\(HTML.escaped(finding.criterion.text(quantity)))</td>"
                + "<td>\(verdict(finding.verdict))</td></tr>"
        }
        let earlier = isComparing ? "<th>Earlier</th>" : ""
        return
            "<table><tr><th>Criterion</th><th>Measured</th>\(earlier)<th>Required</th><th></th></tr>\(rows.joined())</table>"
    }

    private func distributions(_ result: ScenarioResult) -> String {
        // Percentiles at equal distances, so that the tail can be seen.
        let ticks = Distribution.percents.enumerated().map { (x: Double($0.offset), text: "p\(short($0.element))") }
        let lines = result.distributions.map { distribution in
            Chart.Line(
                name: "\(distribution.name), \(distribution.count) times",
                points: distribution.values.enumerated().map { (Double($0.offset), $0.element) })
        }
        let chart = Chart(lines: lines, scale: .logarithmic, ticks: ticks, yText: Quantity.seconds.text)
        return "<figure>\(chart.svg)<figcaption>\(legend(lines.map(\.name)))</figcaption></figure>"
    }

    /// Of the time that the charts show, in seconds.
    private static func length(_ result: ScenarioResult) -> Double {
        result.isVirtual ? result.plannedSeconds : result.elapsedSeconds
    }

    private func series(_ series: Series, of result: ScenarioResult) -> String {
        let faults = result.faults
        // A file may hold any number, also one that is none.
        let end = ([Self.length(result)] + faults.map(\.to)).filter(\.isFinite).reduce(0, max)
        let chart = Chart(
            lines: [Chart.Line(name: series.name, points: series.points.map { ($0.at, $0.value) })],
            span: faults.isEmpty ? nil : 0...end,
            shades: faults.map { ($0.from, $0.to, $0.name) }, xText: Quantity.seconds.text,
            yText: series.quantity.text)
        let trend = Self.length(result) < Self.shortestTrend ? nil : RobustSlope.of(series.points)
        let slope = trend.map { slope in
            ", \(slope < 0 ? "falls" : "rises") by \(series.quantity.text(abs(slope) * 3600)) an hour"
        }
        let caption = HTML.escaped(series.name + (slope ?? ""))
        return "<figure>\(chart.svg)<figcaption>\(caption)</figcaption></figure>"
    }

    private func faults(_ faults: [FaultRecord]) -> String {
        let rows = faults.map { fault in
            "<tr><td>\(HTML.escaped(fault.name))</td><td class=\"number\">\(Quantity.seconds.text(fault.from))</td>"
                + "<td class=\"number\">\(Quantity.seconds.text(fault.to))</td><td class=\"number\">\(fault.bites)</td></tr>"
        }
        return "<table><tr><th>Fault</th><th>From</th><th>To</th><th>Bites</th></tr>\(rows.joined())</table>"
    }

    private func measurements(_ result: ScenarioResult) -> String {
        let before = comparison.earlier[result.id]
        let rows = result.measurements.map { measurement in
            var cells = "<td>\(HTML.escaped(measurement.name))</td><td class=\"number\">\(measurement.text)</td>"
            if let before {
                let old = before.measurement(measurement.name)
                let ratio = old.flatMap { $0 == 0 ? nil : measurement.value / $0 }
                cells += "<td class=\"number\">\(old.map(measurement.quantity.text) ?? "–")</td>"
                cells += "<td class=\"number\">\(ratio.map { "× " + short($0) } ?? "–")</td>"
            }
            return "<tr>\(cells)</tr>"
        }
        let further = before == nil ? "" : "<th>Earlier</th><th>Ratio</th>"
        return "<details><summary>\(result.measurements.count) measurements</summary>"
            + "<table><tr><th>Measurement</th><th>Value</th>\(further)</tr>\(rows.joined())</table></details>"
    }

    private func legend(_ names: [String]) -> String {
        names.enumerated().map {
            "<span class=\"key \(["a", "b", "c", "d"][$0.offset % 4])\"></span>\(HTML.escaped($0.element))"
        }
        .joined(separator: " ")
    }

    private func short(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "–" : value > 0 ? "∞" : "−∞" }
        let rounded = (value * 100).rounded() / 100
        guard abs(rounded) < 1e15 else { return "\(value)" }
        return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
    }

    private static let style = """
        :root{color-scheme:light dark;--line:#8884;--pass:#1a7f37;--fail:#cf222e;--unknown:#9a6700;--a:#0969da;--b:#bf3989;\
        --c:#1a7f37;--d:#9a6700}
        @media(prefers-color-scheme:dark){:root{--pass:#3fb950;--fail:#f85149;--unknown:#d29922;--a:#58a6ff;--b:#f778ba;\
        --c:#3fb950;--d:#d29922}}
        body{font:15px/1.45 system-ui,sans-serif;margin:0}main{max-width:1160px;margin:auto;padding:1rem}
        table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.3rem .7rem;border-bottom:1px solid var(--line);\
        text-align:left;vertical-align:top}.number{text-align:right;white-space:nowrap}
        .small{opacity:.7;font-size:.87em}section{border-top:2px solid var(--line);margin-top:2rem}
        h2{font-size:1.15rem}.badge{border:1px solid;border-radius:.8em;padding:0 .6em;font-size:.85rem;font-weight:600}
        .pass{color:var(--pass)}.fail{color:var(--fail)}.unknown{color:var(--unknown)}
        .charts{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:1 1 480px;max-width:560px}
        figcaption{font-size:.87em;opacity:.8}svg{width:100%;height:auto;font:11px system-ui;fill:currentColor}
        polyline{fill:none;stroke-width:1.6}.grid{stroke:var(--line)}.shade{fill:#f8514933}
        polyline.a{stroke:var(--a)}polyline.b{stroke:var(--b)}polyline.c{stroke:var(--c)}polyline.d{stroke:var(--d)}
        .key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.3em}.key.a{background:var(--a)}\
        .key.b{background:var(--b)}.key.c{background:var(--c)}.key.d{background:var(--d)}
        """
}
