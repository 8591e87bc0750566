import ALDCore
public import Foundation

/// Runs `body` with a directory of its own, which is removed afterwards whatever happened.
///
/// - Parameter parent: where it is made. Defaults to the system's place for such things.
@discardableResult public func withTemporaryDirectory<Result>(
    in parent: String = NSTemporaryDirectory(), _ body: (_ path: String) async throws -> Result
) async throws -> Result {
    // Short, because Unix sockets below it must fit into 107 bytes.
    let name = "ald-" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
    let path = URL(fileURLWithPath: parent).appendingPathComponent(name).path
    try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    return try await withCleanup {
        try await body(path)
    } cleanup: {
        try FileManager.default.removeItem(atPath: path)
    }
}
