import ALDCore
import Modbus
import Testing

@testable import ald

@Suite("What a person sees", .background) struct StatusReportTests {
    private func status(_ change: (inout StationStatus) -> Void = { _ in }) -> StationStatus {
        var status = StationStatus(
            machine: "ALD-1", parameters: 51, period: .seconds(1), running: .seconds(3723),
            collection: CollectionStatistics(), writer: BatchWriter.Statistics(),
            plc: PLCStatus(place: "10.0.0.5:502", state: .up),
            database: DatabaseStatus(place: "private, in .ald", fault: nil), rowsCounted: nil,
            spoolRecounted: 51)
        status.writer.accepted = 1530
        status.writer.landed = 1479
        status.writer.spooled = 51
        change(&status)
        return status
    }

    @Test("the table lines up and fits the terminal")
    func table() {
        let table = StatusReport.table(status(), width: 80)
        #expect(table.first == "ALD-1: 51 parameters every 1 s, for 1:02:03 (Ctrl-C stops)")
        #expect(table.contains("  Records          1,530 accepted, 1,479 landed, 51 in the spool"))
        #expect(table.contains("  PLC              up (10.0.0.5:502)"))
        #expect(StatusReport.table(status(), width: 40).allSatisfy { $0.count < 40 })
    }

    @Test("the summary proves the account, and says so loudly when it does not balance")
    func account() {
        #expect(
            StatusReport.summary(status()).contains(
                "  Account          1,530 accepted = 1,479 landed + 51 spooled, nothing lost, nothing doubled"))
        let wrong = status { $0.writer.landed = 1480 }
        #expect(!wrong.isBalanced)
        #expect(
            StatusReport.summary(wrong).contains(
                "  Account          DOES NOT BALANCE: 1,530 accepted = 1,480 landed + 51 spooled"))
        let carried = status {
            $0.writer.carriedOver = 10
            $0.writer.landed = 1489
        }
        #expect(carried.isBalanced)
        #expect(
            StatusReport.summary(carried).contains {
                $0.contains("1,530 accepted + 10 carried over = 1,489 landed + 51 spooled")
            })
    }

    @Test("a database that is down is shown with its reason")
    func fault() {
        let line = StatusReport.line(status { $0.database.fault = "connection refused" })
        #expect(line.hasSuffix("plc up  database down: connection refused"))
    }
}
