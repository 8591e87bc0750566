/// What the database says was done to its schema, against what this program would have done.
struct MigrationHistory: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        var version: Int32
        var name: String
        /// `nil` where it was applied before checksums were kept.
        var checksum: [UInt8]?
    }

    /// In ascending order.
    var applied: [Entry]

    /// The schema's version; 0 when nothing was applied.
    var version: Int32 { applied.last?.version ?? 0 }

    /// The migrations that are still to be done, in order.
    ///
    /// - Throws: ``Migrator/SchemaTooNew`` when the database knows later migrations than this program, and
    ///   ``Migrator/HistoryMismatch`` when it has others.
    func pending(of known: [Migration]) throws -> [Migration] {
        let newest = known.last?.version ?? 0
        guard version <= newest else { throw Migrator.SchemaTooNew(found: version, known: newest) }
        let byVersion = Dictionary(uniqueKeysWithValues: known.map { ($0.version, $0) })
        for entry in applied {
            guard let migration = byVersion[entry.version] else {
                throw Migrator.HistoryMismatch(
                    description:
                        "the database has migration \(entry.version) \"\(entry.name)\", which this program does "
                        + "not have; use the program that made it")
            }
            guard entry.checksum == nil || entry.checksum == migration.checksum else {
                throw Migrator.HistoryMismatch(
                    description:
                        "migration \(entry.version) \"\(entry.name)\" was not what this program has under that "
                        + "number; one of the two was edited, use the program that made the schema")
            }
        }
        let done = Set(applied.map(\.version))
        let pending = known.filter { !done.contains($0.version) }
        if let hole = pending.first, hole.version < version {
            throw Migrator.HistoryMismatch(
                description:
                    "the database has migration \(version) but not \(hole.version) \"\(hole.name)\" before it; "
                    + "its history was changed by hand, restore it from a backup")
        }
        return pending
    }
}
