import Foundation
import Testing

@testable import ALDCore

/// What root reads although another user wrote it.
@Suite(.place)
struct LocalPostgresFilesTests {
    private func file(_ name: String, _ text: String) throws -> String {
        let path = try TestPlace.directory(name)
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        return path
    }

    @Test func linksAreNotFollowed() throws {
        let target = try file("target", "secret")
        let link = try TestPlace.directory("link")
        #expect(symlink(target, link) == 0)
        #expect(LocalPostgresFiles.contents(of: target) == "secret")
        #expect(LocalPostgresFiles.contents(of: link) == nil)
    }

    @Test(.timeLimit(.minutes(1))) func pipesAndDirectoriesAreNotReadAndDoNotBlock() throws {
        let pipe = try TestPlace.directory("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(LocalPostgresFiles.contents(of: pipe) == nil)
        #expect(LocalPostgresFiles.contents(of: "/") == nil)
        #expect(LocalPostgresFiles.contents(of: "/dev/null") == nil)
    }

    @Test func longFilesAreReadInPart() throws {
        let limit = LocalPostgresFiles.maximumContents
        let path = try file("long", "first" + String(repeating: "x", count: limit) + "last")
        let beginning = try #require(LocalPostgresFiles.contents(of: path))
        let end = try #require(LocalPostgresFiles.contents(of: path, part: .end))
        #expect(beginning.utf8.count == limit && beginning.hasPrefix("first"))
        #expect(end.utf8.count == limit && end.hasSuffix("last"))
    }

    @Test(.enabled(if: geteuid() == 0)) func rootReadsNothingOfStrangers() throws {
        let path = try file("foreign", "text")
        let server = try LocalPostgresAccount.current()
        #expect(chown(path, server.userID, server.groupID) == 0)
        #expect(LocalPostgresFiles.contents(of: path) == "text")
        #expect(chown(path, 54_321, 54_321) == 0)
        #expect(LocalPostgresFiles.contents(of: path) == nil)
    }

    @Test func aForgedProcessFileCannotAddOptions() {
        let honest = "1\n/data\n2\n5432\n/tmp/a b\n"
        #expect(
            LocalPostgres.connectionString(inProcessFile: honest)
                == "host='/tmp/a b' port=5432 user=ald dbname=ald")
        for port in ["5432 hostaddr=192.0.2.1", "+5432", "", "99999", "٣"] {
            let forged = "1\n/data\n2\n\(port)\n/tmp\n"
            #expect(LocalPostgres.connectionString(inProcessFile: forged) == nil, "\(port)")
        }
    }

    @Test func pathsLoseTheSlashesAtTheirEnd() {
        #expect(LocalPostgresFiles.absolute("/a/b//") == "/a/b")
        #expect(LocalPostgresFiles.absolute("/") == "/")
        #expect(LocalPostgresFiles.absolute("x/") == LocalPostgresFiles.absolute("x"))
    }
}
