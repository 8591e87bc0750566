import ALDCore
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// How a run is shown: as a table on a terminal, as lines in a log, as JSON for programs.
protocol Display: Sendable {
    /// Between two calls of ``show(_:)``.
    var interval: Duration { get }
    /// Recording has begun.
    func begin(_ status: StationStatus)
    func show(_ status: StationStatus)
    /// The last thing a run shows.
    func finish(_ status: StationStatus)
    /// The work of a process without Terminal 1 has begun, or goes on.
    func show(_ terminals: [TerminalLine], of machine: String, isFirst: Bool)
    /// A finished line of the log.
    @Sendable func log(_ line: String)
}

/// Shows a station's status again and again until the station ends.
struct DisplayService: Service {
    let display: any Display
    let station: Station
    var time: any TimeSource = SystemTime()

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // The terminals are just being made.
            while station.terminals.contains(.collection), station.status == nil {
                do { try await time.sleep(for: .milliseconds(10)) } catch { return }
            }
            show(isFirst: true)
            var next = time.now
            while true {
                next = next + display.interval
                do { try await time.sleep(until: next) } catch { return }
                show(isFirst: false)
            }
        }
    }
}

extension DisplayService {
    private func show(isFirst: Bool) {
        guard let status = station.status else {
            return display.show(station.terminalLines, of: station.settings.machineName, isFirst: isFirst)
        }
        if isFirst { display.begin(status) } else { display.show(status) }
    }
}

/// A table that is redrawn in place; log lines scroll by above it.
final class LiveDisplay: Display {
    let interval = Duration.milliseconds(500)
    private let output: StandardStream
    /// How many lines of the table are on the screen.
    private let drawn = Mutex([String]())

    init(output: StandardStream) {
        self.output = output
    }

    func begin(_ status: StationStatus) { show(status) }

    func show(_ status: StationStatus) {
        redraw(StatusReport.table(status, width: output.width))
    }

    func show(_ terminals: [TerminalLine], of machine: String, isFirst: Bool) {
        redraw(StatusReport.terminals(terminals, of: machine).map { String($0.prefix(output.width - 1)) })
    }

    private func redraw(_ table: [String]) {
        drawn.withLock { drawn in
            output.write(Self.erase(drawn) + Self.text(table))
            drawn = table
        }
    }

    func finish(_ status: StationStatus) {
        drawn.withLock { drawn in
            output.write(Self.erase(drawn) + Self.text(StatusReport.summary(status)))
            drawn = []
        }
    }

    func log(_ line: String) {
        drawn.withLock { drawn in output.write(Self.erase(drawn) + line + "\n" + Self.text(drawn)) }
    }

    private static func text(_ lines: [String]) -> String { lines.map { $0 + "\n" }.joined() }

    /// Cursor up to the table's first line, and everything below it cleared.
    private static func erase(_ lines: [String]) -> String { lines.isEmpty ? "" : "\r\u{1B}[\(lines.count)A\u{1B}[J" }
}

/// One line every ten seconds; the log goes to standard error.
struct LineDisplay: Display {
    let interval = Duration.seconds(10)
    let output: StandardStream
    let errors: StandardStream

    func begin(_ status: StationStatus) { output.write(StatusReport.opening(status) + "\n") }
    func show(_ status: StationStatus) { output.write(StatusReport.line(status) + "\n") }
    func finish(_ status: StationStatus) {
        output.write(StatusReport.summary(status).map { $0 + "\n" }.joined())
    }
    func show(_ terminals: [TerminalLine], of machine: String, isFirst: Bool) {
        output.write(StatusReport.terminals(terminals, of: machine).map { $0 + "\n" }.joined())
    }
    func log(_ line: String) { errors.write(line + "\n") }
}

/// One JSON object per line: `"event": "start"`, `"progress"` every ten seconds, and `"summary"` at the end.
struct JSONDisplay: Display {
    let interval = Duration.seconds(10)
    let output: StandardStream
    let errors: StandardStream

    func begin(_ status: StationStatus) { write(status, event: "start") }
    func show(_ status: StationStatus) { write(status, event: "progress") }
    func finish(_ status: StationStatus) { write(status, event: "summary") }
    func show(_ terminals: [TerminalLine], of machine: String, isFirst: Bool) {
        write(JSONTerminals(terminals, machine: machine, event: isFirst ? "start" : "progress"))
    }
    func log(_ line: String) { errors.write(line + "\n") }

    private func write(_ status: StationStatus, event: String) { write(JSONStatus(status, event: event)) }

    private func write(_ status: some Encodable) {
        do {
            output.write(try LineOutput.line(json: status))
        } catch {
            errors.write("ald: status cannot be written as JSON: \(error)\n")
        }
    }
}
