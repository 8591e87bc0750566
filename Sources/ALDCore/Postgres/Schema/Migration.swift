import Crypto

/// One step of the schema's history. A migration that has been released is never edited; a later one corrects it.
public struct Migration: Sendable {
    /// Counts from 1 without holes.
    public let version: Int32
    public let name: String
    /// Runs inside one transaction with the row that records it.
    let script: String

    /// SHA-256 of the script. The database keeps it, so that an edited migration is noticed.
    var checksum: [UInt8] { Array(SHA256.hash(data: Array(script.utf8))) }

    /// Everything there is, in ascending order. Each script stands in files of its own, `Migrations/Migration+NNN….swift`.
    public static let all: [Migration] = [
        machinesAndParameters,
        historyAndLedger,
        equipmentRecipesProcesses,
        commandsLiveness,
        rolesAudit,
        privateHistory,
        synchronisedRecording,
        rollupsAndRetention,
        deadLetters,
        deadLetterQueue,
        historyByCopy,
        checkedRecipesUpkeep,
        commandsByTheHandful,
        processEvents,
        runsOfRecipes,
        claimsAfterCopy,
        setPoints,
        lettersByWhom,
        runsAlone,
        setPointsExplained,
        decidedCuts,
        takenAgain,
    ]
}
