/// What the embedded server is told: small enough for a Raspberry Pi, never at the price of durability.
enum LocalPostgresSettings {
    /// Appended to `postgresql.conf` once. Later lines win, so users' settings go below it.
    static let include = """

        # ALDCore's settings; that file is written anew at every start. Put your own below this line.
        include 'ald.conf'

        """

    /// Sessions that a server of ours has room for, unless somebody asks for more: one has a shared memory that is 4 MB
    /// larger with 120.
    static let usualConnections = 50

    static func text(socketDirectory: String, connections: Int = usualConnections) -> String {
        """
        # Written by ALDCore at every start. Your own settings belong at the end of postgresql.conf.
        listen_addresses = ''
        port = \(LocalPostgresSocket.port)
        unix_socket_directories = '\(socketDirectory.replacingQuotes)'
        unix_socket_permissions = 0700
        cluster_name = 'ald'
        max_connections = \(connections)
        shared_buffers = 64MB
        fsync = on
        full_page_writes = on
        synchronous_commit = on
        logging_collector = on
        log_directory = '../log'
        log_filename = 'postgresql-%a.log'
        log_rotation_age = 1d
        log_rotation_size = 0
        log_truncate_on_rotation = on
        log_line_prefix = '%m [%p] %q%u@%d '
        lc_messages = 'C'
        timezone = 'UTC'
        log_timezone = 'UTC'

        """
    }
}

extension String {
    /// For a single-quoted value of `postgresql.conf`.
    fileprivate var replacingQuotes: String {
        split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
    }
}

/// Values of a libpq keyword string.
enum ConnectionStringValue {
    static func quoted(_ value: String) -> String {
        let isPlain = !value.isEmpty && value.allSatisfy { !$0.isWhitespace && $0 != "'" && $0 != "\\" }
        if isPlain { return value }
        var result = "'"
        for character in value {
            if character == "'" || character == "\\" { result.append("\\") }
            result.append(character)
        }
        return result + "'"
    }
}
