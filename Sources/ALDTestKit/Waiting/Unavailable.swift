import Foundation

/// This machine cannot do what a test needs. What was to be shown is then *unknown*, never passed.
public struct Unavailable: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    public enum Kind: String, Sendable, Codable {
        /// It exists on Linux only.
        case system
        /// It needs root, or a container that may do more, or `ALD_ROOT` forbids it.
        case privilege
        /// A program is not installed.
        case program
        /// The kernel was built without it.
        case kernel
        /// No server of PostgreSQL is there, or none answers.
        case database
    }

    public var kind: Kind
    /// What cannot be done, and why.
    public var reason: String
    /// What to do about it.
    public var remedy: String

    public init(_ kind: Kind, _ reason: String, remedy: String) {
        (self.kind, self.reason, self.remedy) = (kind, reason, remedy)
    }

    public var description: String { "\(reason); \(remedy)" }

    /// Whether a test may be skipped for it. In the gate, which installs every program, one that is missing is a failure.
    /// A database never is an excuse: half of the suite would be skipped, and nobody would see it.
    public var excusesTests: Bool {
        switch kind {
        case .system, .privilege, .kernel: true
        case .program: ProcessInfo.processInfo.environment["CI"] == nil
        case .database: false
        }
    }

    /// - Throws: ``Unavailable`` when this process may not do what only root may: it is another user, or
    ///   `ALD_ROOT=0` leaves such cases out.
    /// - Parameter purpose: what it is needed for, as the beginning of a sentence.
    public static func requireRoot(_ purpose: String) throws(Unavailable) {
        #if os(Linux)
            guard Gate.mayUseRoot else {
                throw Unavailable(
                    .privilege, "\(purpose) is left out because ALD_ROOT is 0", remedy: "unset it to include it")
            }
            guard geteuid() == 0 else {
                throw Unavailable(.privilege, "\(purpose) needs root", remedy: "run as root")
            }
        #else
            throw Unavailable(.system, "\(purpose) exists on Linux only", remedy: "run there")
        #endif
    }
}
