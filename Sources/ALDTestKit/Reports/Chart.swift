/// A line chart as SVG, for pages without scripts.
struct Chart {
    struct Line {
        var name: String
        var points: [(x: Double, y: Double)]
    }

    var lines: [Line]
    /// Behind the lines: from, to, name.
    var shades: [(from: Double, to: Double, name: String)] = []
    /// Where the lower axis has its numbers; `nil` for its two ends.
    var ticks: [(x: Double, text: String)]?
    var xText: (Double) -> String = { "\($0)" }
    var yText: (Double) -> String

    private static let (width, height) = (560.0, 170.0)
    private static let (left, bottom, top) = (78.0, 22.0, 8.0)
    /// The classes of the page's style sheet.
    private static let colours = ["a", "b", "c", "d"]

    var svg: String {
        let all = lines.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
        guard let first = all.first else { return "" }
        let xs = all.map(\.x)
        let (low, high) = (xs.min() ?? first.x, max(xs.max() ?? first.x, (xs.min() ?? first.x) + 1e-9))
        let peak = max(all.map(\.y).max() ?? 0, 1e-12)
        let floor = min(all.map(\.y).min() ?? 0, 0)
        func x(_ value: Double) -> Double {
            Self.left + (value - low) / (high - low) * (Self.width - Self.left - 8)
        }
        func y(_ value: Double) -> Double {
            Self.top + (peak - value) / (peak - floor) * (Self.height - Self.top - Self.bottom)
        }
        var svg = "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\">"
        for shade in shades {
            let (from, to) = (x(max(shade.from, low)), x(min(max(shade.to, shade.from), high)))
            svg += "<rect class=\"shade\" x=\"\(Self.short(from))\" y=\"\(Self.top)\" width=\""
            svg += "\(Self.short(max(1, to - from)))\" height=\"\(Self.height - Self.top - Self.bottom)\">"
            svg += "<title>\(HTML.escaped(shade.name))</title></rect>"
        }
        for value in [floor, (floor + peak) / 2, peak] {
            svg += "<line class=\"grid\" x1=\"\(Self.left)\" x2=\"\(Self.width - 8)\" y1=\"\(Self.short(y(value)))\" "
            svg += "y2=\"\(Self.short(y(value)))\"/><text x=\"\(Self.left - 6)\" y=\"\(Self.short(y(value) + 4))\" "
            svg += "text-anchor=\"end\">\(HTML.escaped(yText(value)))</text>"
        }
        for tick in ticks ?? [(low, xText(low)), (high, xText(high))] {
            let anchor = tick.x == low ? "start" : tick.x == high ? "end" : "middle"
            svg += "<text x=\"\(Self.short(x(tick.x)))\" y=\"\(Self.height - 6)\" text-anchor=\"\(anchor)\">"
            svg += "\(HTML.escaped(tick.text))</text>"
        }
        for (index, line) in lines.enumerated() {
            let points = line.points.map { "\(Self.short(x($0.x))),\(Self.short(y($0.y)))" }.joined(separator: " ")
            svg += "<polyline class=\"\(Self.colours[index % Self.colours.count])\" points=\"\(points)\">"
            svg += "<title>\(HTML.escaped(line.name))</title></polyline>"
        }
        return svg + "</svg>"
    }

    private static func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}

enum HTML {
    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }
}
