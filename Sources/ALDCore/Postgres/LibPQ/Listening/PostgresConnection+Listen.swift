import CLibPQ

extension PostgresConnection {
    /// The longest name of a channel, in bytes; the server would cut longer ones off.
    public static let maximumChannelLength = 63

    /// Listens on channels for the time of `body`, which has the connection to itself.
    ///
    /// ```swift
    /// try await connection.listen(to: ["ald_commands"], deadline: deadline) { notifications in
    ///     // Listen first, then look: what was inserted before is found now, what comes later rings.
    ///     try await claimCommands()
    ///     for try await _ in notifications { try await claimCommands() }
    /// }
    /// ```
    ///
    /// While nothing arrives nothing runs: the socket is waited for, never polled. When the link is lost the sequence
    /// throws the reason. A peer that vanishes silently is noticed by the TCP keep-alives, by default within a minute.
    /// Afterwards the connection is clean, or closed if that could not be done in time or the task was cancelled.
    ///
    /// - Parameters:
    ///   - channels: names as given to `NOTIFY` in quotes: upper and lower case differ.
    ///   - capacity: notifications that may wait for `body`; beyond, the oldest are dropped.
    ///   - deadline: for `LISTEN`, and with the same time again for `UNLISTEN` afterwards; not for the listening.
    /// - Throws: what `body` throws; ``PostgresError`` as ``query(_:_:deadline:)`` when `LISTEN` fails; `misuse` for an
    ///   impossible channel and behind a transaction pooler, where notifications would silently go to somebody else.
    public nonisolated(nonsending) func listen<R>(
        to channels: [String], capacity: Int = 1024, deadline: MonotonicInstant,
        _ body: (PostgresNotifications) async throws -> R
    ) async throws -> R {
        let allowance = deadline - time.now
        let mailbox = NotificationMailbox(capacity: capacity)
        try await beginListening(to: channels, mailbox, deadline: deadline)
        do {
            let result = try await reading(into: mailbox, body)
            await endListening(within: allowance)
            return result
        } catch {
            await endListening(within: allowance)
            throw error
        }
    }

    /// Reads while `body` runs. Leaving cancels the reading and waits for its end.
    private nonisolated(nonsending) func reading<R>(
        into mailbox: NotificationMailbox, _ body: (PostgresNotifications) async throws -> R
    ) async throws -> R {
        async let _: Void = readNotifications()
        defer { mailbox.change { $0.end(.stopped) } }
        return try await body(PostgresNotifications(mailbox: mailbox))
    }

    private func beginListening(
        to channels: [String], _ mailbox: NotificationMailbox, deadline: MonotonicInstant
    ) async throws(PostgresError) {
        guard !isPooled else {
            throw PostgresError(
                .misuse, "LISTEN does not work behind a transaction pooler", place: place,
                remedy: "Connect to the server directly, or to the pooler in session mode and say so (pooling).")
        }
        if let wrong = channels.first(where: { !(1...Self.maximumChannelLength).contains($0.utf8.count) }) {
            throw PostgresError(
                .misuse, "\"\(wrong)\" is no channel: names have 1 to \(Self.maximumChannelLength) bytes", place: place)
        }
        let script = channels.map { name in
            "LISTEN \"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
        }.joined(separator: ";")
        var exchange = try begin(deadline: deadline) { PQsendQuery($0, script) == 1 }
        let verdict = await drive(&exchange, to: .answer)
        if let error = failure(of: exchange, verdict) {
            endOperation()
            throw error
        }
        self.mailbox = mailbox
    }

    private func readNotifications() async {
        while let mailbox, let handle {
            handle.absorbIdleInput()
            let arrived = handle.takeNotifications()
            if !arrived.isEmpty {
                mailbox.change { buffer in
                    for notification in arrived { buffer.append(notification) }
                }
            }
            // Before the cancellation: whoever closes has interrupted a wait, and waits for us.
            if isClosing {
                return loseListener(.linkLost("the connection was closed", place: place, effect: .notApplied))
            }
            guard handle.isReady else { return loseListener(closedError(effect: .notApplied)) }
            if Task.isCancelled { return }
            _ = await waitForSocket(
                handle.socket, .readable, until: MonotonicInstant(nanoseconds: .max), heedingCancellation: true)
        }
    }

    func loseListener(_ error: PostgresError) {
        release()
        mailbox?.change { $0.end(.failed(error)) }
        mailbox = nil
        endOperation()
    }

    private func endListening(within allowance: Duration) async {
        guard mailbox != nil else { return }
        mailbox = nil
        endOperation()
        do {
            _ = try await exchange(deadline: time.now + allowance) { PQsendQuery($0, "UNLISTEN *") == 1 }
            // What arrived until then is for nobody.
            _ = handle?.takeNotifications()
        } catch {
            release()
        }
    }
}

extension LibPQHandle {
    /// Everything that libpq has kept; it forgets it here.
    func takeNotifications() -> [PostgresNotification] {
        var result: [PostgresNotification] = []
        while let next = PQnotifies(pointer) {
            result.append(
                PostgresNotification(
                    channel: String(cString: next.pointee.relname), payload: String(cString: next.pointee.extra),
                    processID: next.pointee.be_pid))
            PQfreemem(next)
        }
        return result
    }
}
