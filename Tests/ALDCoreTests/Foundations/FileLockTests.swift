import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

@Suite struct FileLockTests {
    /// A process releases its lock while a program that it is just starting still has a copy of the open file: the next
    /// one gets the lock all the same.
    @Test func aLockIsReleasedThoughAChildStillHasTheFile() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/lock"
            let holder = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            try #require(holder >= 0 && flock(holder, LOCK_EX | LOCK_NB) == 0)
            // What a process has until it runs its program: the same open file.
            let inherited = dup(holder)
            let next = open(path, O_RDWR | O_CLOEXEC)
            defer { for descriptor in [inherited, next] { close(descriptor) } }
            try #require(flock(next, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK, "it is held")

            FileLock.release(holder)

            #expect(flock(next, LOCK_EX | LOCK_NB) == 0)
        }
    }
}
