import ArgumentParser

struct DeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "Records that the database refuses: look, correct, send again, give up.",
        discussion: """
            A record that breaks a rule of the database is kept there with the reason,
            beside everything else, which lands. It waits for a person. These commands
            work on any computer that reaches the database; who asks for a change, and
            why, is written down with it.

            A letter is called machine/origin/number/row, as `list` shows it.

            EXAMPLES
              ald dead-letters list --group                    what is wrong, by rule
              ald dead-letters show 1/5d0f2a/17/4
              ald dead-letters edit 1/5d0f2a/17/4 --value 45.1 \\
                  --operator ann --reason "decimal point"
              ald dead-letters requeue 1/5d0f2a/17/4 --operator ann
              ald dead-letters requeue --fingerprint 23514/t//temp_range \\
                  --all-matching 38 --operator ann --dry-run

            EXIT STATUS
              0   done, or it was so already
              1   nothing matched, or a letter could not be dealt with as asked
              64  wrong arguments
              69, 75, 78  as for every command: no database, not now, a wrong setting
            """,
        subcommands: [
            LettersListCommand.self, LettersShowCommand.self, LettersEditCommand.self, LettersRequeueCommand.self,
            LettersDiscardCommand.self, LettersReopenCommand.self, LettersExportCommand.self,
            LettersImportCommand.self,
        ])
}
