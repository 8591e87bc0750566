import Foundation

/// A line chart as SVG, for pages without scripts.
struct Chart {
    struct Line {
        var name: String
        var points: [(x: Double, y: Double)]
    }

    enum Scale {
        /// From zero, or from the lowest value when that is below.
        case linear
        /// By powers of ten, for what spans several of them; values that are not above zero are left out.
        case logarithmic
    }

    var lines: [Line]
    var scale = Scale.linear
    /// What the lower axis shows at least.
    var span: ClosedRange<Double>?
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
        let lines = lines.map { line in
            let points = line.points.filter { $0.x.isFinite && $0.y.isFinite && (scale == .linear || $0.y > 0) }
            return Line(name: line.name, points: points)
        }
        let all = lines.flatMap(\.points)
        guard let axis = Axis(all.map(\.y), scale), let first = all.map(\.x).min(), let last = all.map(\.x).max()
        else { return "" }
        let low = min(first, span?.lowerBound ?? first)
        let high = Axis.end(max(last, span?.upperBound ?? last), above: low)
        func x(_ value: Double) -> Double {
            Self.left + Axis.part(of: value, from: low, to: high) * (Self.width - Self.left - 8)
        }
        func y(_ value: Double) -> Double {
            Self.top + (1 - axis.place(of: value)) * (Self.height - Self.top - Self.bottom)
        }
        var svg = "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\">"
        for shade in shades where !shade.from.isNaN && !shade.to.isNaN {
            let (from, to) = (x(min(max(shade.from, low), high)), x(min(max(shade.to, shade.from), high)))
            svg += "<rect class=\"shade\" x=\"\(Self.short(from))\" y=\"\(Self.top)\" width=\""
            svg += "\(Self.short(max(1, to - from)))\" height=\"\(Self.height - Self.top - Self.bottom)\">"
            svg += "<title>\(HTML.escaped(shade.name))</title></rect>"
        }
        for value in axis.ticks {
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

    /// The axis at the left. Whatever finite numbers it gets, it has two different ends and finite places: the widest
    /// range of a `Double` is wider than a `Double`.
    struct Axis {
        let scale: Scale
        let low: Double
        let high: Double

        /// `nil` when there is nothing to be shown.
        init?(_ values: [Double], _ scale: Scale) {
            guard let least = values.min(), let most = values.max() else { return nil }
            self.scale = scale
            switch scale {
            case .linear:
                low = min(least, 0)
                high = Self.end(most, above: low)
            case .logarithmic:
                // Powers of ten below the smallest ones come out as zero, above the largest as infinite.
                low = max(pow(10, floor(log10(least))), .leastNormalMagnitude)
                high = min(max(pow(10, ceil(log10(most))), low * 10), .greatestFiniteMagnitude)
            }
        }

        /// The upper end of an axis: `value`, or a little above `low` where that is not above.
        static func end(_ value: Double, above low: Double) -> Double {
            max(value, low + max(1e-12, abs(low) * 1e-9))
        }

        /// Where a value lies, 0…1; halves, since the difference of two numbers may be too large for one.
        static func part(of value: Double, from low: Double, to high: Double) -> Double {
            (value / 2 - low / 2) / (high / 2 - low / 2)
        }

        private var decades: Double { log10(high) - log10(low) }

        /// 0 at the bottom to 1 at the top.
        func place(of value: Double) -> Double {
            switch scale {
            case .linear: Self.part(of: value, from: low, to: high)
            case .logarithmic: min(max((log10(value) - log10(low)) / decades, 0), 1)
            }
        }

        var ticks: [Double] {
            switch scale {
            case .linear: return [low, low / 2 + high / 2, high]
            case .logarithmic:
                let count = Int(decades.rounded())
                return stride(from: 0, through: count, by: max(1, (count + 4) / 5)).map { number in
                    min(max(pow(10, log10(low) + Double(number)), low), high)
                }
            }
        }
    }

    private static func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}

enum HTML {
    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }
}
