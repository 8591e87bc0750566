import ALDCore
import ArgumentParser
import Foundation

struct DatabaseVerifyAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-audit",
        abstract: "Check that the entries of the audit are those that were written.",
        discussion: """
            Every entry is bound to the one before it by a hash. Reads all of them, for
            every machine that this user is a member of, and says where a chain is
            broken: something was altered, removed, added or put in another order.

            Who owns the database can write a whole chain anew. Keep the heads that
            --json prints where its administrator cannot reach, and compare.

            EXAMPLES
              ald database verify-audit
              ald database verify-audit --machine 1 --json

            EXIT STATUS
              0   every chain is sound         1   a chain is broken
            """)

    @OptionGroup var options: DatabaseOptions

    @Option(help: ArgumentHelp("One machine alone; 0 is what belongs to none.", valueName: "number"))
    var machine: Int32?

    @Flag(help: "Write one JSON object.")
    var json = false

    func validate() throws {
        if let machine, machine < 0 { throw ValidationError("--machine is \(machine), must be 0 or more") }
    }

    func run() async throws {
        try await reportingFailures {
            let settings = try options.settings()
            let machine = machine
            let verification = try await interruptibly {
                try await DatabaseAccess(settings: settings).withConnection(within: DatabaseAccess.noLimit) {
                    try await AuditVerification($0, machine: machine, deadline: $1)
                }
            }
            if verification.chains.isEmpty {
                throw Failure(.configuration, "this user is a member of no machine, so there is nothing to verify")
            }
            StandardStream.output.write(try json ? Self.json(verification) : Self.text(verification))
            if !verification.isSound { throw ExitCode(1) }
        }
    }

    private static func text(_ verification: AuditVerification) -> String {
        let rows = verification.chains.map { chain in
            let entries = TextTable.counted(chain.sound, "entry", plural: "entries")
            let finding =
                chain.problem.map { problem in
                    "BROKEN at entry \(chain.firstBroken.map(String.init) ?? "?"): \(problem)"
                } ?? "sound"
            return [
                chain.machine == 0 ? "no machine" : "machine \(chain.machine)", chain.name,
                chain.problem == nil ? entries : "\(entries) sound", finding,
            ]
        }
        return TextTable.lines(rows).map { $0 + "\n" }.joined()
    }

    /// Fields are added, never renamed or removed.
    private struct Report: Encodable {
        struct Chain: Encodable {
            var machine_id: Int32
            var chain: String
            var sound_entries: Int64
            var first_broken: Int64?
            var problem: String?
            var head: String?
        }

        var is_sound: Bool
        var chains: [Chain]
    }

    private static func json(_ verification: AuditVerification) throws -> String {
        let report = Report(
            is_sound: verification.isSound,
            chains: verification.chains.map { chain in
                .init(
                    machine_id: chain.machine, chain: chain.name, sound_entries: chain.sound,
                    first_broken: chain.firstBroken, problem: chain.problem,
                    head: chain.head.map { $0.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
                )
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
    }
}
