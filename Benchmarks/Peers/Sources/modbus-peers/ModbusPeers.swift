import Foundation
import Modbus

/// Our side of the comparison. `Benchmarks/Peers/run` starts it; what it prints is JSON for that script.
///
///     modbus-peers serve                                  until standard input ends; prints `listening PORT`
///     modbus-peers plan PORT SECONDS WINDOW REQUESTS      a plan of so many reads, again and again
///     modbus-peers single PORT SECONDS WINDOW             single reads, as many at a time as the window
///     modbus-peers executor PORT SECONDS WINDOW           the same by tasks that prefer the client's executor
///     modbus-peers poll MILLISECONDS                      170 parameters over 10 kbit/s and such a round trip
@main
enum ModbusPeers {
    static func main() async throws {
        let words = CommandLine.arguments.dropFirst()
        let numbers = words.dropFirst().compactMap { Double($0) }
        switch (words.first, numbers.count) {
        case ("serve", 0): try await IndexServer.run()
        case ("plan", 4):
            try await ClientLoad(port: Int(numbers[0]), seconds: numbers[1], window: Int(numbers[2]))
                .runPlans(of: Int(numbers[3]))
        case ("single", 3):
            try await ClientLoad(port: Int(numbers[0]), seconds: numbers[1], window: Int(numbers[2]))
                .runSingleReads(onExecutor: false)
        case ("executor", 3):
            try await ClientLoad(port: Int(numbers[0]), seconds: numbers[1], window: Int(numbers[2]))
                .runSingleReads(onExecutor: true)
        case ("poll", 1): try await SlowPoll(roundTrip: .milliseconds(Int(numbers[0]))).run()
        default:
            FileHandle.standardError.write(Data("modbus-peers: started by Benchmarks/Peers/run\n".utf8))
            exit(64)
        }
    }
}
