import ALDTestKit
import Testing

@testable import ALDCore

/// What needs a database with our newest schema and touches nothing but its own: one server for all.
@Suite(.server, .serialized, .timeLimit(.minutes(5))) struct LetterServerTests {}
