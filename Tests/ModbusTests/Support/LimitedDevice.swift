import NIOCore

@testable import Modbus

/// A device with holes in its memory and a limit to what it reads at once. Every register holds its own address,
/// every bit whether its address is odd.
struct LimitedDevice {
    /// The addresses it lacks, in every table.
    var missing: Set<UInt16> = []
    var maximumRegisters = 125
    var maximumBits = 2000
    var codeForSize = ExceptionCode.illegalDataValue
    /// Whether it refuses only when every address is missing, and answers with zeros in place of the others.
    var isLenient = false
    var perRequest = Duration.milliseconds(20)
    var perRegister = Duration.milliseconds(1)
    /// Every request it was sent.
    private(set) var asked: [ReadSpan] = []

    mutating func run(_ plan: ReadPlan) -> PlanResult {
        let results = plan.requests.map { answer(ReadSpan($0.table, $0.range)) }
        return PlanResult(
            plan: plan, results: results,
            roundTrips: plan.requests.map { perRequest + perRegister * $0.range.count / ($0.table.isBits ? 16 : 1) })
    }

    func accepts(_ span: ReadSpan) -> Bool {
        guard span.range.count <= (span.table.isBits ? maximumBits : maximumRegisters) else { return false }
        let addresses = span.range.start...span.range.last
        return isLenient ? !addresses.allSatisfy(missing.contains) : !addresses.contains(where: missing.contains)
    }

    private mutating func answer(_ span: ReadSpan) -> Result<ReadData, ModbusError> {
        asked.append(span)
        let isTooLarge = span.range.count > (span.table.isBits ? maximumBits : maximumRegisters)
        guard accepts(span) else {
            return .failure(
                ModbusError(.exception(isTooLarge ? codeForSize : .illegalDataAddress, span.table.readFunction)))
        }
        let addresses = span.range.start...span.range.last
        return .success(
            span.table.isBits
                ? .bits(addresses.map { $0 % 2 == 1 })
                : .registers(addresses.map { missing.contains($0) ? 0 : $0 }))
    }

    mutating func forget() {
        asked = []
    }

    /// One cycle of `reader`; with `interrupting`, its questions after the plan end without an answer.
    mutating func read(
        with reader: inout AdaptiveReader, now: NIODeadline, interrupting: Bool = false
    ) -> SpanResults {
        var cycle = reader.begin(now: now)
        var isPlan = true
        while !cycle.next.requests.isEmpty {
            if interrupting, !isPlan {
                let lost = ModbusError(.timedOut(.reply))
                let results = cycle.next.requests.map { _ in Result<ReadData, ModbusError>.failure(lost) }
                reader.take(PlanResult(plan: cycle.next, results: results), in: &cycle, now: now)
            } else {
                reader.take(run(cycle.next), in: &cycle, now: now)
            }
            isPlan = false
        }
        return reader.finish(cycle)
    }
}
