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
        let high = max(last, span?.upperBound ?? last, low + 1e-9)
        func x(_ value: Double) -> Double {
            Self.left + (value - low) / (high - low) * (Self.width - Self.left - 8)
        }
        func y(_ value: Double) -> Double {
            Self.top + (1 - axis.place(of: value)) * (Self.height - Self.top - Self.bottom)
        }
        var svg = "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\">"
        for shade in shades {
            let (from, to) = (x(max(shade.from, low)), x(min(max(shade.to, shade.from), high)))
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

    /// The axis at the left.
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
                high = max(most, low + 1e-12)
            case .logarithmic:
                low = pow(10, floor(log10(least)))
                high = max(pow(10, ceil(log10(most))), low * 10)
            }
        }

        /// 0 at the bottom to 1 at the top.
        func place(of value: Double) -> Double {
            switch scale {
            case .linear: (value - low) / (high - low)
            case .logarithmic: log10(value / low) / log10(high / low)
            }
        }

        var ticks: [Double] {
            switch scale {
            case .linear: return [low, (low + high) / 2, high]
            case .logarithmic:
                let decades = Int(log10(high / low).rounded())
                return stride(from: 0, through: decades, by: (decades + 4) / 5).map { low * pow(10, Double($0)) }
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
