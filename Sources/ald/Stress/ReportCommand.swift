import ALDTestKit
import ArgumentParser
import Foundation

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Make one page of results.",
        discussion: """
            Reads what `ald stress --output` has written, or the single results that a
            test run leaves in .build/results, and makes a page that needs nothing
            else: verdicts beside the requirements, percentiles, numbers over time with
            the faults shaded. Of several results of a scenario the newest counts. With an
            earlier run it says what has become worse, what is new and what is missing.

            EXAMPLES
              ald report results.json                         to report.html
              ald report .build/results/*.json --output page.html
              ald report new.json --earlier old.json          with the ratios of both

            EXIT STATUS
              0   written
              64  wrong arguments, for instance a page that would replace its results
              69  a file cannot be read or written
            """)

    @Argument(help: ArgumentHelp("Files with results.", valueName: "file"))
    var files: [String]

    @Option(help: ArgumentHelp("An earlier run to compare with; may be repeated.", valueName: "file"))
    var earlier: [String] = []

    @Option(help: ArgumentHelp("The page to write (report.html).", valueName: "file"))
    var output = "report.html"

    private var page: OutputFile { OutputFile(option: "--output", path: output) }

    func validate() throws { try OutputFile.checkDistinct([page], from: files + earlier) }

    func run() async throws {
        try await reportingFailures {
            let report = HTMLReport(try Self.read(files), comparedWith: try Self.read(earlier))
            try page.write { Data(report.page.utf8) }
            try LineOutput.write("\(output): \(TextTable.counted(report.results.count, "scenario"))")
            for line in report.remarks { try LineOutput.write(line) }
        }
    }

    private static func read(_ files: [String]) throws -> [ScenarioResult] {
        do {
            return try files.flatMap { try ResultFile.read($0) }
        } catch {
            throw Failure(.unavailable, "\(error)")
        }
    }
}
