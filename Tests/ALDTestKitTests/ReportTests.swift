import Foundation
import Testing

@testable import ALDTestKit

/// The page that a person reads after a run.
@Suite("Reports") struct ReportTests {
    private static let machine = MachineFingerprint.current

    private func result(
        _ id: String, _ verdict: Verdict = .pass, notes: [String] = [],
        _ change: (inout ScenarioResult) -> Void = { _ in }
    ) -> ScenarioResult {
        var result = ScenarioResult(
            id: id, title: "Title of \(id)", requirement: "Less than 5 & more than 3", verdict: verdict,
            reasons: verdict == .pass ? [] : ["because <of this>"], findings: [], measurements: [], distributions: [],
            series: [], faults: [], notes: notes, seed: 42, scale: 1, nominalSeconds: 300, plannedSeconds: 3,
            isVirtual: false, elapsedSeconds: 5, startedAt: "2026-01-01T00:00:00Z", machine: Self.machine)
        change(&result)
        return result
    }

    private func places(_ texts: [String], in page: String) throws -> [String.Index] {
        try texts.map { try #require(page.range(of: $0), "\($0)").lowerBound }
    }

    @Test("scenarios stand in the order of the catalogue, with verdict, reason and requirement, and nothing is markup")
    func table() throws {
        let page = HTMLReport([result("PLC-CA-01", .fail), result("DB-HF-02"), result("DB-HF-01", .unknown)]).page
        let found = try places(["#DB-HF-01", "#DB-HF-02", "#PLC-CA-01"], in: page)
        #expect(found == found.sorted())
        for text in [
            "1 pass", "1 fail", "1 unknown", "because &lt;of this&gt;", "Less than 5 &amp; more than 3",
            "ald stress PLC-CA-01 --seed 42", "of 5 min",
        ] { #expect(page.contains(text), "\(text)") }
        #expect(!page.contains("<of this>") && !page.contains("<script") && !page.contains("http"))
    }

    @Test("the command that runs it again says what was asked for")
    func replay() {
        #expect(result("X").replay == "ald stress X --seed 42")
        #expect(result("X") { $0.scale = 2 }.replay == "ald stress X --seed 42 --scale 2.0", "of an earlier version")
        let asked = result("X") { $0.gates = ["ALD_SLOW=1", "--duration 5s", "--scale 2"] }
        #expect(asked.replay == "ALD_SLOW=1 ald stress X --seed 42 --duration 5s --scale 2")
    }

    @Test("every element that is opened is closed")
    func balance() throws {
        let page = HTMLReport(
            [
                result("DB-HF-01", notes: ["a <note>"]) { result in
                    result.faults = [FaultRecord(name: "the \"cable\"", from: 1, to: 2, bites: 3)]
                    result.series = [
                        Series(
                            name: "backlog", quantity: .count, points: [.init(at: 0, value: 1), .init(at: 3, value: 2)])
                    ]
                    result.measurements = [Measurement("jitter", 0.001, .seconds)]
                    result.distributions = [
                        Distribution(name: "latency", count: 9, values: Distribution.percents.map { 0.001 + $0 / 1000 })
                    ]
                    result.findings = [
                        Finding(criterion: Criterion("jitter", .below, 0.1), value: 0.001, verdict: .pass),
                        Finding(criterion: Criterion("absent", .below, 0.1), value: nil, verdict: .unknown),
                    ]
                }
            ], comparedWith: [result("DB-HF-01") { $0.measurements = [Measurement("jitter", 0.002, .seconds)] }]
        ).page
        let parser = XMLParserCheck(page)
        #expect(parser.open == [], "left open")
        #expect(parser.problem == nil)
        #expect(page.contains("× 0.5") && page.contains("the &quot;cable&quot;"))
    }

    // MARK: Several runs

    @Test("the newest result of a scenario counts, and the page says that there were others")
    func newest() {
        let old = result("X", .fail) { $0.startedAt = "2026-01-01T00:00:00Z" }
        let new = result("X") { $0.startedAt = "2026-01-02T00:00:00Z" }
        let report = HTMLReport([new, old])
        #expect(report.results == [new] && report.remarks == ["Several results of X: the newest of each counts."])
        #expect(report.page.components(separatedBy: "<section").count == 2)
    }

    @Test("an earlier run shows its verdicts, what is new, what is missing and what became worse")
    func comparison() {
        func measured(_ id: String, _ verdict: Verdict, _ jitter: Double, _ rate: Double) -> ScenarioResult {
            result(id, verdict) { result in
                result.measurements = [Measurement("jitter", jitter, .seconds), Measurement("rate", rate, .perSecond)]
                let criteria = [Criterion("jitter", .below, 1), Criterion("rate", .above, 1)]
                result.findings = criteria.map { criterion in
                    Finding(
                        criterion: criterion, value: criterion.measure == "rate" ? rate : jitter, verdict: .pass)
                }
            }
        }
        let before = [measured("A", .pass, 0.2, 100), measured("B", .pass, 0.2, 100), measured("GONE", .pass, 1, 1)]
        let now = [measured("A", .fail, 0.4, 70), measured("B", .pass, 0.21, 105), measured("NEW", .pass, 1, 1)]
        let report = HTMLReport(now, comparedWith: before)
        #expect(report.remarks == ["Only in the earlier run: GONE.", "Not in the earlier run: NEW."])
        // Of the table alone, without opening anything.
        let table = report.page.prefix { $0 != "§" }.components(separatedBy: "<section")[0]
        #expect(table.contains("worse: jitter is 400 ms, earlier 200 ms"))
        #expect(table.contains("worse: rate is 70/s, earlier 100/s"))
        #expect(table.components(separatedBy: "worse:").count == 3, "5 % are noise")
        #expect(table.contains("pass</span> <b class=\"fail\">worse</b>") && table.contains("<td>new</td>"))
        #expect(!HTMLReport(now).page.contains("Earlier"))
    }

    @Test("a bound that holds in every window is shown as one, and its worst window compared with the worst before")
    func windows() {
        func measured(_ worst: Double) -> ScenarioResult {
            result("A") { result in
                result.series = [
                    Series(
                        name: "success over time", quantity: .ratio,
                        points: [.init(at: 0, value: 1), .init(at: 5, value: worst)])
                ]
                let criterion = Criterion("success over time", .atLeast, 0.5, .everyWindow)
                result.findings = [Finding(criterion: criterion, value: worst, verdict: .pass, at: 5)]
            }
        }
        let page = HTMLReport([measured(0.6)], comparedWith: [measured(0.9)]).page
        #expect(page.contains("≥ 50 % in every window"))
        #expect(page.contains("worse: success over time is 60 %, earlier 90 %"))
        #expect(measured(0.6).line.hasSuffix("success over time 60 %"))
    }

    @Test("what was not written down by an earlier version keeps nobody from comparing; another machine does")
    func otherMachine() {
        let warning = "another machine or build"
        func page(_ change: (inout MachineFingerprint) -> Void) -> String {
            HTMLReport([result("X")], comparedWith: [result("X") { change(&$0.machine) }]).page
        }
        #expect(!page { $0.compiler = nil }.contains(warning))
        #expect(page { $0.cores += 1 }.contains(warning))
        #expect(page { $0.build = "<b>" }.contains(warning))
    }

    @Test(
        "numbers that the format allows and nobody measures make a page, too",
        arguments: [
            Double.infinity, -.infinity, .nan, 1e300, -1e300, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 0,
        ])
    func numbers(_ value: Double) {
        let strange = result("X") { result in
            result.measurements = [Measurement("a", value, .seconds), Measurement("b", value, .count)]
            result.findings = [Finding(criterion: Criterion("a", .below, value), value: value, verdict: .fail)]
            result.distributions = [
                Distribution(name: "d", count: 1, values: Distribution.percents.map { $0 < 50 ? value : 1e-300 }),
                Distribution(name: "e", count: 1, values: Distribution.percents.map { _ in value }),
            ]
            result.series = [value, -value].map { value in
                Series(
                    name: "s", quantity: .count,
                    points: [.init(at: value, value: value), .init(at: 0, value: -value), .init(at: 9, value: 1)])
            }
            result.faults = [FaultRecord(name: "f", from: value, to: -value, bites: 1)]
            result.elapsedSeconds = value
        }
        let small = result("X") { $0.measurements = [Measurement("a", 1e-300, .seconds), Measurement("b", 1, .count)] }
        for page in [
            HTMLReport([strange], comparedWith: [small]).page, HTMLReport([small], comparedWith: [strange]).page,
        ] {
            #expect(page.contains("</html>"))
            #expect(page.firstMatch(of: /(x|y|x1|y1|width|points)="[^"]*(nan|inf)/) == nil)
        }
    }

    @Test("nothing from a file is markup")
    func markup() {
        let page = HTMLReport([
            result("<i>\"X") { result in
                result.machine.build = "<u>"
                result.machine.compiler = "<u>"
                result.postgres = "<u>"
                result.gates = ["<u>"]
            }
        ]).page
        #expect(!page.contains("<i>") && !page.contains("<u>") && page.contains("&lt;i&gt;&quot;X"))
    }

    /// Tags of a page: each that is opened has to be closed in order.
    private struct XMLParserCheck {
        private(set) var open: [Substring] = []
        private(set) var problem: String?
        private static let void: Set<Substring> = ["meta", "br", "!doctype", "line", "rect"]

        init(_ page: String) {
            for piece in page.split(separator: "<").dropFirst(page.hasPrefix("<") ? 0 : 1) {
                let tag = piece.prefix { $0 != ">" }
                let name = tag.prefix { $0 != " " && $0 != ">" }
                if tag.hasSuffix("/") || Self.void.contains(name) && !tag.hasPrefix("/") && tag.hasSuffix("\"") == false
                {
                    continue
                }
                if name.hasPrefix("/") {
                    let closed = name.dropFirst()
                    if open.last == closed {
                        open.removeLast()
                    } else if !Self.void.contains(closed) {
                        problem = problem ?? "</\(closed)> after \(open)"
                    }
                } else if !Self.void.contains(name) {
                    open.append(name)
                }
            }
        }
    }

    // MARK: Charts

    @Test("a logarithmic axis has whole powers of ten, and shows the median beside the tail")
    func logarithmic() throws {
        let axis = try #require(Chart.Axis([0.000_3, 0.002, 4], .logarithmic))
        #expect(abs(axis.low - 0.0001) < 1e-12 && abs(axis.high - 10) < 1e-9)
        #expect(axis.ticks.count == 6 && axis.place(of: axis.low) == 0 && abs(axis.place(of: axis.high) - 1) < 1e-9)
        #expect(axis.place(of: 0.002) > 0.2)
        let single = try #require(Chart.Axis([1], .logarithmic))
        #expect(single.low == 1 && single.high == 10)
    }

    @Test("a linear axis begins at zero, or below it")
    func linear() throws {
        let axis = try #require(Chart.Axis([2, 4], .linear))
        #expect((axis.low, axis.high) == (0, 4) && axis.ticks == [0, 2, 4])
        let negative = try #require(Chart.Axis([-1, 3], .linear))
        #expect(negative.low == -1 && negative.place(of: -1) == 0)
        let flat = try #require(Chart.Axis([0, 0], .linear))
        #expect(flat.place(of: 0).isFinite)
        #expect(Chart.Axis([], .linear) == nil)
    }

    @Test("what has no logarithm and what is no number is left out; a chart of nothing is nothing")
    func unusable() {
        let line = Chart.Line(name: "a", points: [(0, 0), (1, .nan), (2, 0.5), (3, 5)])
        let chart = Chart(lines: [line], scale: .logarithmic, yText: { "\($0)" })
        #expect(chart.svg.contains("<polyline") && !chart.svg.contains("nan") && !chart.svg.contains("inf"))
        #expect(Chart(lines: [], yText: { "\($0)" }).svg == "")
        #expect(Chart(lines: [.init(name: "a", points: [(0, -1)])], scale: .logarithmic, yText: { "\($0)" }).svg == "")
    }

    @Test("a fault is shaded where it was, also when the series ends with it")
    func shade() throws {
        var chart = Chart(
            lines: [.init(name: "a", points: [(2, 1), (4, 3)])], span: 0...8, shades: [(2, 4, "fault")],
            yText: { "\($0)" })
        let rect = try #require(chart.svg.firstMatch(of: /class="shade" x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"/))
        let (x, width) = (try #require(Double(rect.1)), try #require(Double(rect.2)))
        // A quarter of the axis from a quarter on: it is 474 wide and begins at 78.
        #expect(abs(x - (78 + 474 / 4)) < 1 && abs(width - 474 / 4) < 1)
        chart.span = nil
        #expect(chart.svg.contains("x=\"78.0\""))
    }

    @Test("a slope is the median's: an outlier does not turn it")
    func slope() throws {
        var points = (0..<100).map { Series.Point(at: Double($0), value: 3 + 2 * Double($0)) }
        points[40].value = 1e9
        let slope = try #require(RobustSlope.of(points))
        #expect(abs(slope - 2) < 1e-9)
        #expect(RobustSlope.of(Array(points.prefix(2))) == nil)
    }
}
