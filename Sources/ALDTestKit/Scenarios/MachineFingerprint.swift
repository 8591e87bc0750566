import Foundation

/// What results of two runs have to agree in before their times may be compared.
public struct MachineFingerprint: Hashable, Sendable, Codable {
    public var system: String
    public var processor: String
    public var cores: Int
    public var memoryBytes: UInt64
    /// `debug` or `release`.
    public var build: String
    /// The compiler, as far as a program can know it; `nil` in files of earlier versions.
    public var compiler: String?

    /// This machine and this program.
    public static let current: MachineFingerprint = {
        let information = ProcessInfo.processInfo
        #if DEBUG
            let build = "debug"
        #else
            let build = "release"
        #endif
        #if compiler(>=6.4)
            let compiler = "Swift 6.4 or later"
        #elseif compiler(>=6.3)
            let compiler = "Swift 6.3"
        #else
            let compiler = "Swift 6.2"
        #endif
        return MachineFingerprint(
            system: information.operatingSystemVersionString, processor: processorName(),
            cores: information.activeProcessorCount, memoryBytes: information.physicalMemory, build: build,
            compiler: compiler)
    }()

    /// Whether times of two runs may be compared: the same machine, the same kind of build. A fact that an earlier version
    /// did not write down keeps nobody from comparing.
    public func isComparable(to other: MachineFingerprint) -> Bool {
        system == other.system && processor == other.processor && cores == other.cores
            && memoryBytes == other.memoryBytes && build == other.build
            && (compiler == other.compiler || compiler == nil || other.compiler == nil)
    }

    private static func processorName() -> String {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
            let name = line.split(separator: ":", maxSplits: 1).last
        else { return "unknown" }
        return name.trimmingCharacters(in: .whitespaces)
    }
}
