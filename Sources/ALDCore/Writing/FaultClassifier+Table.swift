/// The codes of the PostgreSQL manual, appendix A, whose meaning needs nothing but the code.
extension FaultClassifier {
    /// Exactly one class for every code, also for those that do not exist yet.
    static func tabled(_ state: String) -> SinkFault.Class {
        if let single = single[state] { return single }
        return wholeClasses[String(state.prefix(2))] ?? .misconfigured
    }

    /// Whether a smaller delivery may do: our own time limit, memory, and limits of the server's.
    static func isAboutSize(_ state: String) -> Bool {
        state == "57014" || state == "53200" || tabled(state) == .tooBig
    }

    private static func all(_ states: String, _ faultClass: SinkFault.Class) -> [(String, SinkFault.Class)] {
        states.split(separator: " ").map { (String($0), faultClass) }
    }

    private static let single: [String: SinkFault.Class] = Dictionary(
        uniqueKeysWithValues: [
            all("08007 40003", .inDoubt),
            all(
                "40000 40001 40002 40P01 55000 55006 55P03 55P04 57P03 57P05 25P03 25P04 57014 57000 26000 42P05",
                .transient),
            all("25006", .notPrimary),
            all("58030", .resource),
            // Values that do not fit their column, one by one: a new one of these families may mean anything.
            all(
                """
                22000 22001 22002 22003 22004 22005 22007 22008 22009 2200B 2200C 2200D 2200F 2200G 2200H 2200L 2200M \
                2200N 2200S 2200T 22010 22011 22012 22013 22014 22015 22016 22018 22019 2201B 2201E 2201F 2201G 2201W \
                2201X 22021 22022 22024 22025 22026 22027 2202E 2202G 2202H 22030 22031 22032 22033 22034 22035 22036 \
                22037 22038 22039 2203A 2203B 2203C 2203D 2203E 2203F 2203G 22P01 22P02 22P05 22P06
                """, .poison),
            all("23000 23001 23502 23503 23P01 21000 44000 P0001", .poison),
            all("54000 54001 54023", .tooBig),
            all("58000 58P01 58P02 58P03 XX001 XX002", .serverSick),
            all("22P03 22P04 25P02 42601 34000 AL001 AL002 AL003 AL004 P0000 P0002 P0003 P0004", .ownBug),
            // In classes that mean something else.
            all("22023 54011 55P02 57P04", .misconfigured),
            all("57P01 57P02", .unsent),
        ].joined())

    private static let wholeClasses: [String: SinkFault.Class] = Dictionary(
        uniqueKeysWithValues: [
            // The effect is known here: nothing was done.
            all("08", .unsent), all("40 72", .transient), all("53", .resource), all("24 25 2D", .ownBug),
            all("58 XX", .serverSick),
        ].joined())
}
