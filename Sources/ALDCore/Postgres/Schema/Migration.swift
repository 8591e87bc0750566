import Crypto

/// One step of the schema's history. A migration that has been released is never edited; a later one corrects it.
public struct Migration: Sendable {
    /// Counts from 1 without holes.
    public let version: Int32
    public let name: String
    /// As it was released; what the checksum is of.
    let script: String

    /// SHA-256 of the script. The database keeps it, so that an edited migration is noticed.
    var checksum: [UInt8] { Array(SHA256.hash(data: Array(script.utf8))) }

    /// The script without its own giving of rights: the migrator gives them once, after the last migration and in the same
    /// transaction. Every migration doing it cost nine tenths of the time that a new database needs.
    var changes: String { script.replacing("SELECT ald.apply_grants();", with: "") }

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
        gapsBetweenProcesses,
        lateQuestions,
        lateStarts,
        quickCommands,
        leftRecipes,
        knownPartitions,
    ]
}
