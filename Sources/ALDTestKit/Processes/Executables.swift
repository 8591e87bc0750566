import Foundation

/// Where the programs of this package lie while its tests run.
public enum Executables {
    /// The `ald` that was built together with the running tests; `ald` itself when that is what runs.
    ///
    /// - Throws: ``NeverHappened`` when there is none beside the test bundle.
    public static func ald() throws -> String {
        if let own = Bundle.main.executablePath, own.hasSuffix("/ald") { return own }
        // XCTest is started as the bundle itself, Swift Testing names it in an argument: both point to the folder.
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") }
        guard let bundle else { throw NeverHappened(description: "no test bundle among the arguments") }
        var directory = URL(fileURLWithPath: bundle)
        while directory.path.contains(".xctest") { directory.deleteLastPathComponent() }
        let path = directory.appendingPathComponent("ald").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw NeverHappened(description: "\(path) does not exist; build with `swift build --build-tests`")
        }
        return path
    }
}
