extension MachineDay {
    /// Between a terminal and what it relies on; each breaks a promise.
    public enum PlantedBug: String, CaseIterable, Sendable {
        /// A batch whose answer was lost counts as landed.
        case trustsSilence
        /// A batch that was known already lands again.
        case forgetsNames
        /// One value of some batches is another one.
        case changesValues
        /// Nothing is ever compared with the ledger.
        case neverReconciles
        /// A command that an earlier life left is written again instead of read back.
        case writesAgain
        /// The newest command of a parameter comes first.
        case forgetsOrder
        /// A command is written after its deadline, too.
        case outlivesDeadlines
        /// A command is written although its lease has ended.
        case outlivesLeases
        /// A command that has failed is noted as succeeded.
        case claimsSuccess
        /// What closes a valve is not written.
        case leavesValvesOpen
        /// Whoever has lost the bell of the commands never gets another one. The sweep finds them all the same.
        case losesTheBell
        /// A dead letter counts as landed and is nowhere.
        case losesLetters
        /// The record that the database names is taken for the one behind it.
        case buriesTheNeighbour
        /// Each refusal looks like one for another reason, so that nobody sees that all have the same.
        case buriesEverything
        /// A full disk says nothing of what it has no room for.
        case swallowsWhatDoesNotFit

        /// What has to go wrong for it to show.
        public var shownBy: [WorldFault.Kind] {
            switch self {
            case .trustsSilence, .forgetsNames, .changesValues, .neverReconciles:
                [.answersLost, .callsLost, .databaseForgets]
            case .writesAgain: [.crash]
            case .forgetsOrder: [.databaseDown]
            case .outlivesDeadlines, .claimsSuccess: [.plcDown, .plcLossy]
            case .outlivesLeases: [.plcDown, .databaseDown]
            case .leavesValvesOpen: []
            case .losesTheBell: [.databaseRestarts]
            case .losesLetters, .buriesTheNeighbour, .buriesEverything: [.readingsRefused]
            case .swallowsWhatDoesNotFit: [.diskFull, .databaseDown]
            }
        }

        /// What one of the problems that it makes says; `nil`: it is not the same each time.
        public var sign: String? {
            switch self {
            case .losesTheBell: "Terminal 3 hears no bell"
            case .losesLetters: "records were accepted"
            case .buriesTheNeighbour: "that nobody had refused"
            case .buriesEverything: "what all break is held"
            case .swallowsWhatDoesNotFit: "lost"
            case .trustsSilence, .forgetsNames, .changesValues, .neverReconciles, .writesAgain, .forgetsOrder,
                .outlivesDeadlines, .outlivesLeases, .claimsSuccess, .leavesValvesOpen:
                nil
            }
        }
    }
}
