import Testing

@testable import ALDCore

@Suite(.background) struct NameMemoryTests {
    private let start = MonotonicInstant(nanoseconds: 5)

    @Test func whatWasFoundLastIsKnownForADay() throws {
        var memory = NameMemory()
        #expect(memory.recall("db", now: start) == nil)
        memory.remember(["192.0.2.1"], of: "db", now: start)
        memory.remember(["192.0.2.2", "2001:db8::1"], of: "db", now: start + .seconds(10))
        memory.remember([], of: "db", now: start + .seconds(20))
        let known = try #require(memory.recall("db", now: start + .seconds(70)))
        #expect(known.addresses == ["192.0.2.2", "2001:db8::1"] && known.age == .seconds(60))
        #expect(memory.recall("db", now: start + .seconds(10) + NameMemory.maximumAge) != nil)
        #expect(memory.recall("db", now: start + .seconds(11) + NameMemory.maximumAge) == nil)
        memory.forget("db")
        #expect(memory.recall("db", now: start + .seconds(10)) == nil)
    }

    @Test func theOldestMakesRoom() {
        var memory = NameMemory()
        for number in 0...NameMemory.capacity {
            memory.remember(["192.0.2.1"], of: "host\(number)", now: start + .seconds(number))
        }
        let now = start + .seconds(1000)
        #expect(memory.recall("host0", now: now) == nil && memory.recall("host1", now: now) != nil)
        #expect(memory.recall("host\(NameMemory.capacity)", now: now) != nil)
    }
}
