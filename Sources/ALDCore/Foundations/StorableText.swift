extension String {
    /// Without U+0000, which PostgreSQL cannot store in text: what has one would be refused for ever.
    var storable: String { utf8.contains(0) ? replacing("\0", with: "\u{2400}") : self }
}
