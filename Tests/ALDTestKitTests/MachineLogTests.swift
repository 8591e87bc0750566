import ALDCore
import Testing

@testable import ALDTestKit

@Suite("What a machine has seen") struct MachineLogTests {
    private let valve = ParameterID(rawValue: 1)
    private let flow = ParameterID(rawValue: 2)

    @Test("pulses are from the first opening to the first closing, and an open valve is seen")
    func pulses() {
        let log = MachineLog()
        for value in [0.0, 1, 1, 0, 0, 1] { log.note(valve, value) }
        log.note(flow, 1)
        let (pulses, isOpen) = log.pulses(of: valve)
        #expect(pulses.count == 1 && isOpen)
        log.note(valve, 0)
        #expect(log.pulses(of: valve).complete.count == 2 && !log.pulses(of: valve).isOpen)
    }

    @Test("a value that comes again to the same parameter is a repetition, to another one it is none")
    func repetitions() {
        let log = MachineLog()
        log.note(flow, 3)
        log.note(flow, 4)
        log.note(valve, 3)
        #expect(log.repetitions(in: [flow, valve]) == 0)
        log.note(flow, 3)
        #expect(log.repetitions(in: [flow]) == 1 && log.repetitions(in: [valve]) == 0)
    }
}
