/// Noise that needs no memory: a function of a parameter's key and the step, so that nobody's look changes what
/// anybody sees.
enum MachineNoise {
    /// The key of a parameter's own stream.
    static func key(seed: UInt64, index: Int) -> UInt64 {
        var generator = SeededGenerator(seed: seed ^ UInt64(truncatingIfNeeded: index) &* 0xD1B5_4A32_D192_ED03)
        return generator.next()
    }

    /// White noise: uniform in -1…1, independent from step to step.
    static func white(_ key: UInt64, _ step: Int64) -> Double {
        var generator = SeededGenerator(seed: key ^ UInt64(bitPattern: step))
        return Double(generator.next() >> 11) * 0x1p-52 - 1
    }

    private static let octaves = 10
    /// The amplitude of the fastest octave, such that all together never climb by more than 0.01 in 10 steps.
    private static let finest = 0.00151

    /// A slow wander, like the sum of many small steps: octaves of 1, 2, 4 … 512 seconds, each √2 times as high as the
    /// one before. It changes by at most 0.01 in 10 steps and stays within ±0.12.
    static func wander(_ key: UInt64, _ step: Int64) -> Double {
        var (sum, amplitude, period) = (0.0, finest, Int64(10))
        for octave in 0..<octaves {
            let stream = key &+ UInt64(octave) << 56
            let (cell, place) = step.quotientAndRemainder(dividingBy: period)
            let (left, right) = (white(stream, cell), white(stream, cell + 1))
            sum += amplitude * (left + (right - left) * (Double(place) / Double(period)))
            amplitude *= 1.4142135623730951
            period *= 2
        }
        return sum
    }
}
