import ALDCore
import ALDTestKit
import Foundation
import Modbus
import XCTest

/// Somebody else's Modbus TCP server serves the same map: what is recorded from it must be what it holds. Our client
/// and our server could share a misunderstanding of the specification; with pymodbus they would have to share it too.
final class ForeignControllerTests: XCTestCase {
    func test_pymodbusServingTheSameMap_theSameValuesAreRecordedInEveryWordOrder() async throws {
        let python = Repository.root + "/.build/peers/bin/python"
        guard FileManager.default.isExecutableFile(atPath: python) else {
            XCTAssertNil(ProcessInfo.processInfo.environment["CI"], "the gate must have installed the foreign peer")
            throw XCTSkip("no foreign peer; `make test` installs it (.ci/setup --tests)")
        }
        for order in WordOrder.allCases {
            let map = try RegisterMap(file: Repository.machine51, wordOrder: order)
            // Values that tell parameters, words and bytes apart, each within its parameter's range.
            let values = map.parameters.enumerated().map { index, parameter -> Double in
                switch parameter.dataType {
                case .binary: index.isMultiple(of: 3) ? 1 : 0
                case .int16, .int32: Double(index + 1)
                case .float32: Double(Float(100 + Double(index) * 1.0625 + 1 / 3))
                }
            }
            let json = String(decoding: try JSONSerialization.data(withJSONObject: values), as: UTF8.self)
            try await record(map, from: python, order: order, json: json) { rows in
                XCTAssertEqual(Set(rows.map(\.0)).count, 51, "every parameter was read")
                for (id, value) in rows {
                    let index = try XCTUnwrap(map.parameters.firstIndex { $0.id.rawValue == id })
                    XCTAssertEqual(value, values[index], "\(map.parameters[index].qualifiedName), \(order)")
                }
            }
        }
    }

    private func record(
        _ map: RegisterMap, from python: String, order: WordOrder, json: String,
        check: @escaping ([(Int32, Double)]) throws -> Void
    ) async throws {
        _ = try await ChildProcess.run(
            python,
            [
                Repository.root + "/Fixtures/Modbus/pymodbus-server.py", "--map", Repository.machine51, "--word-order",
                "\(order)", "--values", json,
            ]
        ) { server in
            try await eventually("the foreign server listens") { server.output.contains { $0.hasPrefix("listening ") } }
            let port = try XCTUnwrap(server.output.first.flatMap { Int($0.dropFirst("listening ".count)) })
            try await TestDatabase.withDatabase { lease in
                try await withTemporaryDirectory { directory in
                    try await RecordingRig.record(
                        map, fromPort: port, into: lease.configuration, directory: directory
                    ) { rig in
                        // What it does not answer in time is recorded as bad, which is no wrong value.
                        try await eventually("a few cycles") {
                            let statistics = rig.collection.statistics
                            return statistics.cycles > 4 && statistics.rows - statistics.badRows > 51 * 4
                        }
                    }
                }
                let rows = try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                    try await connection.query(
                        "SELECT parameter_id, value FROM ald.parameter_value_history WHERE quality <> 0",
                        deadline: deadline
                    ).map { (try $0.decode(0, as: Int32.self), try $0.decode(1, as: Double.self)) }
                }
                try check(rows)
            }
            server.send(SIGTERM)
        }
    }
}
