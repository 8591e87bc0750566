import Foundation

/// What a run may have left open when its process ended without a word: a file that is written before the first output,
/// and that says so when everything is closed again.
public struct RecipeJournal: Sendable {
    /// A run that was begun.
    public struct Entry: Codable, Hashable, Sendable {
        /// Of the file; a later one is refused, because it may mean something else.
        public internal(set) var version = 1
        /// Who started what, for people.
        public var label: String
        /// Every valve that the recipe can open.
        public var valves: [ParameterID]
        /// The process in the database; `nil` when it is not known.
        public var process: Int64?
        /// Everything was closed again. An older version takes such a run for one that was cut off, and closes twice.
        var hasEnded: Bool?

        public init(label: String, valves: [ParameterID], process: Int64? = nil) {
            self.label = label
            self.valves = valves
            self.process = process
        }
    }

    /// The file cannot be used. Says which, why, and what to do.
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    private let path: String

    /// - Parameter path: of the file, in a directory that is there. Every machine has its own.
    public init(path: String) {
        self.path = path
    }

    /// The run that was begun and has not ended; `nil` when there is none.
    public func pending() throws(Failure) -> Entry? {
        guard let entry = try newest(), entry.hasEnded != true else { return nil }
        return entry
    }

    /// What the newest run was called when everything that it opened is closed again.
    func lastEnded() throws(Failure) -> String? {
        guard let entry = try newest(), entry.hasEnded == true else { return nil }
        return entry.label
    }

    private func newest() throws(Failure) -> Entry? {
        let content: Data?
        do throws(DurableFile.Failure) {
            content = try DurableFile(path: path).contents()
        } catch {
            throw Failure(description: "\(error)")
        }
        guard let content else { return nil }
        do {
            let entry = try JSONDecoder().decode(Entry.self, from: content)
            if entry.version == 1 { return entry }
        } catch {}
        throw Failure(
            description: "\(path): not written by this version; close the valves by hand and remove the file")
    }

    func begin(_ entry: Entry) throws(Failure) {
        do {
            try DurableFile(path: path).replace(by: JSONEncoder().encode(entry))
        } catch {
            throw Failure(description: "\(error)")
        }
    }

    /// Everything that this run opened is closed.
    func end(_ entry: Entry) throws(Failure) {
        var entry = entry
        entry.hasEnded = true
        try begin(entry)
    }
}

extension ParameterID: Codable {}
