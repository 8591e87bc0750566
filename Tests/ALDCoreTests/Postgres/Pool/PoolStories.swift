@testable import ALDCore

/// What stories about the machine are told with: milliseconds, numbered callers, actions as words.
enum PoolStories {
    typealias Machine = PoolStateMachine

    static func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    static func request(
        _ number: Int, _ lane: PoolLane = .reader, deadline: Int64 = 1000, since: Int64 = 0,
        limits: LeaseLimits = .none
    ) -> Machine.Request {
        Machine.Request(
            id: .init(number: number),
            holder: PoolHolder(name: "holder \(number)", fileID: "Module/File.swift", line: number), lane: lane,
            deadline: at(deadline), since: at(since), limits: limits)
    }

    static func connection(_ number: Int) -> Machine.ConnectionID { Machine.ConnectionID(number: number) }

    static func text(_ actions: [Machine.Action]) -> String {
        actions.map { action in
            switch action {
            case .connect(let id): "connect \(id.number)"
            case .lease(let id, let request, .glance): "lease \(id.number) to \(request.number)"
            case .lease(let id, let request, .answer): "lease \(id.number) to \(request.number) if it answers"
            case .fail(let request, _): "fail \(request.number)"
            case .close(let id): "close \(id.number)"
            case .check(let id): "check \(id.number)"
            case .cancelStatement(let id): "cancel \(id.number)"
            case .wakeUp(let instant): "wake \(instant.nanoseconds / 1_000_000)"
            case .drained: "drained"
            case .finish: "finish"
            }
        }.joined(separator: ", ")
    }

    /// The first failure among the actions.
    static func failure(_ actions: [Machine.Action]) -> PostgresError? {
        for case .fail(_, let error) in actions { return error }
        return nil
    }
}
