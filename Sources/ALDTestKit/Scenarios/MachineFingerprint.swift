import Foundation

/// What results of two runs have to agree in before their times may be compared.
public struct MachineFingerprint: Hashable, Sendable, Codable {
    public var system: String
    public var processor: String
    public var cores: Int
    public var memoryBytes: UInt64
    /// `debug` or `release`.
    public var build: String

    /// This machine and this program.
    public static let current: MachineFingerprint = {
        let information = ProcessInfo.processInfo
        #if DEBUG
            let build = "debug"
        #else
            let build = "release"
        #endif
        return MachineFingerprint(
            system: information.operatingSystemVersionString, processor: processorName(),
            cores: information.activeProcessorCount, memoryBytes: information.physicalMemory, build: build)
    }()

    private static func processorName() -> String {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
            let name = line.split(separator: ":", maxSplits: 1).last
        else { return "unknown" }
        return name.trimmingCharacters(in: .whitespaces)
    }
}
