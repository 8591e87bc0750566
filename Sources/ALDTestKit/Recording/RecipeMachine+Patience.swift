public import ALDCore

extension RecipeMachine.Configuration {
    /// For tests and benchmarks on a busy computer: 2 s for a call, 10 s of patience, 30 s of overrun or silence, 60 s of
    /// standstill. The defaults would fail a recipe that waits for a processor; how long things take is judged by whoever
    /// runs it. In pulses shorter than two seconds the controller is asked for no sign of life.
    public static var patient: Self {
        var limits = Self()
        (limits.callTimeout, limits.patience) = (.seconds(2), .seconds(10))
        (limits.longestOverrun, limits.longestSilence) = (.seconds(30), .seconds(30))
        limits.longestStandstill = .seconds(60)
        return limits
    }
}
