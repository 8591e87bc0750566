/// The frame of PostgreSQL's binary COPY format (manual, "COPY", section "Binary Format").
enum CopyFormat {
    static let signature: [UInt8] = [0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00]
    /// Signature, no flags, no extension.
    static let header: [UInt8] = signature + [0, 0, 0, 0] + [0, 0, 0, 0]
    /// Where a row's column count stands: no more rows.
    static let end: Int16 = -1
    /// Where a value's length stands.
    static let null: Int32 = -1
    /// Flags from here up change how the rows must be read.
    static let criticalFlags: UInt32 = 0xFFFF_0000
}
