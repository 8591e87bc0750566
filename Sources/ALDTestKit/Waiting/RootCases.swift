/// What only root may do. Each kind of it is skipped where a machine does not let root do it; a run as root that skips
/// all of it looks as if all of it had been shown, and fails.
public struct RootCases: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// In a ``NetworkNamespace``.
        case network
        /// On a ``SmallDisk``.
        case disk
    }

    /// Why a kind is skipped; one that can be done is not among them.
    public private(set) var lacks: [Kind: Unavailable] = [:]

    /// Does the least of each kind.
    ///
    /// - Throws: what nobody would be skipped for.
    public static func tried() async throws -> RootCases {
        try await tried { kind in
            switch kind {
            case .network: try await NetworkNamespace.run { _ in }
            case .disk: try await SmallDisk.run(bytes: 1 << 16) { _ in }
            }
        }
    }

    static func tried(_ attempt: (Kind) async throws -> Void) async throws -> RootCases {
        var cases = RootCases()
        for kind in Kind.allCases {
            do {
                try await attempt(kind)
            } catch let lacking as Unavailable {
                cases.lacks[kind] = lacking
            }
        }
        return cases
    }

    /// Why a run as root fails, with the remedies; `nil` where something of it can be shown, or the system has no such
    /// thing for anybody.
    public var problem: String? {
        let isAllLacking = Kind.allCases.allSatisfy { lacks[$0] != nil }
        guard isAllLacking, lacks.values.contains(where: { $0.kind != .system }) else { return nil }
        let reasons = Kind.allCases.compactMap { kind in lacks[kind].map { "\(kind.rawValue): \($0)" } }
        return "as root, yet nothing that only root may do can be done here: " + reasons.joined(separator: "; ")
            + "; ALD_ROOT=0 leaves it out on purpose"
    }
}
