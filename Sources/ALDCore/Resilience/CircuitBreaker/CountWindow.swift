/// The last so many calls.
struct CountWindow: Sendable {
    private(set) var sums = OutcomeWindow.Sums()
    private var samples: [OutcomeWindow.Sample] = []
    private var oldest = 0
    private let size: Int

    init(size: Int) {
        self.size = max(size, 1)
    }

    mutating func record(_ sample: OutcomeWindow.Sample) {
        sums.add(sample)
        if samples.count < size {
            samples.append(sample)
            return
        }
        var gone = OutcomeWindow.Sums()
        gone.add(samples[oldest])
        sums.subtract(gone)
        samples[oldest] = sample
        oldest = oldest + 1 == size ? 0 : oldest + 1
    }

    mutating func reset() {
        sums = OutcomeWindow.Sums()
        samples.removeAll(keepingCapacity: true)
        oldest = 0
    }
}
