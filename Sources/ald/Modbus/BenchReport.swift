import ALDCore
import Foundation

/// A measurement as lines for people and as JSON. Fields are added, never renamed or removed.
struct BenchReport: Encodable {
    struct Latency: Encodable {
        var count: Int
        var p50: Double
        var p90: Double
        var p99: Double
        var p99_9: Double
        var max: Double
    }

    var host: String
    var port: Int
    var unit: UInt8
    var table: String
    var address: UInt16
    var registers: Int
    var window: Int
    var connections: Int
    var api: String
    var seconds: Double
    var requests: Int
    var errors: Int
    var requests_per_second: Double
    var values_per_second: Double
    var latency_seconds: Latency
    var first_error: String?

    init(_ result: BenchResult, command: ModbusBenchCommand) {
        host = command.device.host
        port = command.device.port
        unit = command.device.unit
        table = command.table.rawValue
        address = command.address.number
        registers = command.registers
        window = command.window
        connections = command.connections
        api = command.api.rawValue
        seconds = result.took.inSeconds
        requests = result.requests
        errors = result.errors
        requests_per_second = seconds > 0 ? Double(requests) / seconds : 0
        values_per_second = requests_per_second * Double(registers)
        let histogram = result.latency
        latency_seconds = Latency(
            count: histogram.count, p50: histogram.percentile(50).inSeconds, p90: histogram.percentile(90).inSeconds,
            p99: histogram.percentile(99).inSeconds, p99_9: histogram.percentile(99.9).inSeconds,
            max: histogram.max.inSeconds)
        first_error = result.firstError.map { "\(ModbusErrorKind($0))" }
    }

    var lines: [String] {
        let kind = table == "coils" || table == "discrete" ? "bits" : "registers"
        let percentiles = [
            ("p50", latency_seconds.p50), ("p90", latency_seconds.p90), ("p99", latency_seconds.p99),
            ("p99.9", latency_seconds.p99_9), ("max", latency_seconds.max),
        ].map { "\($0.0) \(StatusReport.milliseconds(.seconds($0.1)))" }
        let latency = latency_seconds.count == 0 ? "nothing was answered" : percentiles.joined(separator: "  ")
        return [
            "\(table) \(address), \(registers) \(kind) a request, window \(window), connections \(connections), \(host):\(port)",
            "",
            String(
                format: "  Requests   %.0f per second (%d in %.2f s, by %@ calls)", requests_per_second, requests,
                seconds, api),
            String(format: "  Values     %.0f %@ per second", values_per_second, kind),
            "  Latency    \(latency)",
            "  Errors     \(errors)\(first_error.map { ", the first: \($0)" } ?? "")",
        ]
    }
}
