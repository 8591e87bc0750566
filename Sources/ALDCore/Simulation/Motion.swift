/// A quantity on its way to a target: what is left of the distance shrinks by the same factor in every step.
///
/// Only multiplications and additions, so that every platform computes the same bits.
struct Motion: Hashable, Sendable {
    /// The value at the step `since`.
    var start: Double
    var target: Double
    /// The share of the distance that is left after one step, 0…1; with 1 the value stays where it is.
    var remainder: Double
    /// The step in which the motion began.
    var since: Int64

    static func resting(at value: Double) -> Motion {
        Motion(start: value, target: value, remainder: 0, since: 0)
    }

    func value(at step: Int64) -> Double {
        guard step > since, start != target else { return start }
        return target + (start - target) * Self.power(remainder, step - since)
    }

    /// By repeated squaring: a machine that nobody looked at for a year costs 28 rounds.
    private static func power(_ base: Double, _ exponent: Int64) -> Double {
        var (result, square, rest) = (1.0, base, exponent)
        while rest > 0 {
            if rest & 1 == 1 { result *= square }
            square *= square
            rest >>= 1
        }
        return result
    }
}
