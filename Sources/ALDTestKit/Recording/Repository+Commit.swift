import Foundation

extension Repository {
    /// The commit of the checkout that this program was built from, with `-dirty` behind it when files have been changed
    /// since. It is looked up where the checkout lies, as it is now; `nil` where there is none, and without Git.
    public static func commit() async -> String? {
        guard FileManager.default.fileExists(atPath: root + "/.git") else { return nil }
        // Without locks: somebody may be committing.
        let described = try? await ChildProcess.run(
            "/usr/bin/env",
            ["git", "--no-optional-locks", "-C", root, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        guard let described, described.exitCode == 0 else { return nil }
        return described.output.first
    }
}
