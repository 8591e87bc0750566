@testable import ALDTestKit

/// What an audit has found of a hundred rows, and what may be wrong with them.
enum PlantedRows {
    static var well: LandingAudit {
        var audit = LandingAudit()
        (audit.promised, audit.sent, audit.rows, audit.inLedger) = (100, 100, 100, 100)
        return audit
    }

    /// One that is lost, one that is there twice, both of them, and one that nobody has sent.
    static let bugs: [@Sendable (inout LandingAudit) -> Void] = [
        { audit in
            audit.missing = [7]
            audit.rows = 99
        },
        { audit in
            audit.doubled = [7]
            audit.rows = 101
        },
        { audit in
            audit.missing = [7]
            audit.doubled = [8]
        },
        { audit in
            audit.unknown = [101]
            audit.rows = 101
        },
    ]
}
