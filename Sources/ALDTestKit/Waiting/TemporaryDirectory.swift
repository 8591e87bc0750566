import ALDCore
import Foundation

/// Runs `body` with a directory of its own, which is removed afterwards whatever happened.
public func withTemporaryDirectory<Result>(
    _ body: (_ path: String) async throws -> Result
) async throws -> Result {
    // Short, because Unix sockets below it must fit into 107 bytes.
    let name = "ald-" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
    let path = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent(name).path
    try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    return try await withCleanup {
        try await body(path)
    } cleanup: {
        try FileManager.default.removeItem(atPath: path)
    }
}
