public import ALDCore

extension RecipeMachine.Configuration {
    /// For what runs beside other work on a machine that nobody has for himself: the machine's own limits would end a recipe
    /// that waits for a processor. How long things take is judged by whoever runs it.
    public static var patient: Self {
        var limits = Self()
        (limits.callTimeout, limits.patience) = (.seconds(2), .seconds(10))
        (limits.longestOverrun, limits.longestSilence) = (.seconds(30), .seconds(30))
        limits.longestStandstill = .seconds(60)
        return limits
    }
}
