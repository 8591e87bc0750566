/// How fast a series rises: the median of the slopes between its points (Theil and Sen), which a few outliers do not move.
public enum RobustSlope {
    /// More points than these are thinned out, since every pair counts.
    private static let most = 300

    /// Units per second; `nil` for fewer than three points, or when no time passed between them.
    public static func of(_ points: [Series.Point]) -> Double? {
        guard points.count >= 3 else { return nil }
        let step = (points.count + most - 1) / most
        let chosen = stride(from: 0, to: points.count, by: step).map { points[$0] }
        var slopes: [Double] = []
        for (index, first) in chosen.enumerated() {
            for second in chosen.dropFirst(index + 1) where second.at > first.at {
                slopes.append((second.value - first.value) / (second.at - first.at))
            }
        }
        guard !slopes.isEmpty else { return nil }
        slopes.sort()
        let middle = slopes.count / 2
        return slopes.count.isMultiple(of: 2) ? (slopes[middle - 1] + slopes[middle]) / 2 : slopes[middle]
    }
}
