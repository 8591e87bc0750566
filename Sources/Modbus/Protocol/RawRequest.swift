/// A request of any function whose data this library does not look into; the answer's data comes back as it is.
public struct RawRequest: Hashable, Sendable {
    /// What stands behind the function code, at most 252 bytes.
    public var data: [UInt8]
    /// The function, 1…127.
    public var function: FunctionCode
    /// Whether the request may change the device. Only with false will a client repeat it on a new connection;
    /// otherwise a lost answer is an unknown outcome.
    public var isWrite: Bool

    /// - Parameter isWrite: false when the request may be made twice without harm. Defaults to true.
    public init(_ function: FunctionCode, _ data: [UInt8] = [], isWrite: Bool = true) {
        self.function = function
        self.data = data
        self.isWrite = isWrite
    }
}
