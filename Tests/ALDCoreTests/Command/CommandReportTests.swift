import ALDCore
import Foundation
import Testing

@testable import ald

@Suite("What a person sees of commands") struct CommandReportTests {
    private static let now = Timestamp(microseconds: 1_767_225_600_000_000)

    private func trace(
        _ id: Int64, _ status: String, target: Double = 20, actual: Double? = nil, error: String? = nil,
        total: Double? = nil, secondsAgo: Int64 = 5, parameter: String = "MFC 1.flow"
    ) -> CommandTrace {
        CommandTrace(
            id: id, trace: UUID(), parameter: parameter, target: target, actual: actual, status: status, error: error,
            requestedBy: "ann", insertedAt: Timestamp(microseconds: Self.now.microseconds - secondsAgo * 1_000_000),
            stages: [nil, nil, nil, nil, nil], total: total)
    }

    @Test("the columns line up, whatever is in them, and an end that needs words has them in its line")
    func table() {
        let table = CommandReport.table(
            [
                trace(1204, "pending"),
                trace(
                    1203, "unknown", target: 150, actual: 25, error: "no answer; it reads back as 25.0", total: 1512.25,
                    secondsAgo: 130, parameter: "Chamber Heater.temperature"),
                trace(7, "succeeded", target: 0.125, actual: 0.125, total: 12.5, secondsAgo: 7300),
                trace(6, "expired", error: "not begun in time", total: 30_000.004, secondsAgo: 200_000),
            ], now: Self.now)
        #expect(
            table == """
                command  parameter                   value  status     read back  took          ago     by
                1204     MFC 1.flow                  20     pending                             5 s     ann
                1203     Chamber Heater.temperature  150    unknown    25         1512.250 ms   2 min   ann  no answer; it reads back as 25.0
                7        MFC 1.flow                  0.125  succeeded  0.125      12.500 ms     2 h     ann
                6        MFC 1.flow                  20     expired               30000.004 ms  2 days  ann  not begun in time

                """)
        #expect(CommandReport.table([], now: Self.now) == "no commands\n")
    }

    @Test("a line says what became of a command, and of an unknown one who can tell")
    func line() {
        #expect(
            CommandReport.line(trace(7, "succeeded", actual: 20, total: 12.5))
                == "command 7: MFC 1.flow = 20, succeeded, reads back as 20, 12.500 ms\n")
        #expect(
            CommandReport.line(trace(8, "failed", error: "the PLC refused: 02", total: 3))
                == "command 8: MFC 1.flow = 20, failed, 3.000 ms: the PLC refused: 02\n")
        #expect(
            CommandReport.line(trace(9, "unknown", actual: 7, error: "no answer; it reads back as 7.0"))
                == "command 9: MFC 1.flow = 20, unknown, reads back as 7: no answer; it reads back as 7.0; "
                + "look at the machine\n")
        #expect(CommandReport.line(trace(10, "pending")) == "command 10: MFC 1.flow = 20, pending\n")
    }

    @Test("who waits has another exit status for each kind of end")
    func exitStatuses() {
        #expect(CommandReport.exitStatus(of: trace(1, "succeeded")) == nil)
        for status in ["failed", "expired", "cancelled"] {
            #expect(CommandReport.exitStatus(of: trace(1, status)) == .mismatch)
        }
        #expect(CommandReport.exitStatus(of: trace(1, "unknown")) == .unknownOutcome)
    }
}
