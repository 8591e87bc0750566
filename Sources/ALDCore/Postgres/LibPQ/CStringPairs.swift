/// Keyword and value arrays as `PQconnectStartParams` wants them, in one allocation each.
struct CStringPairs {
    private let pairs: [(key: String, value: String)]

    init(_ options: [String: String]) {
        pairs = options.sorted { $0.key < $1.key }
    }

    func withPointers<R>(
        _ body: (UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<UnsafePointer<CChar>?>) -> R
    ) -> R? {
        var bytes: [CChar] = []
        var keyOffsets: [Int] = []
        var valueOffsets: [Int] = []
        for pair in pairs {
            keyOffsets.append(bytes.count)
            bytes += pair.key.utf8CString
            valueOffsets.append(bytes.count)
            bytes += pair.value.utf8CString
        }
        return bytes.withUnsafeBufferPointer { buffer -> R? in
            let base = buffer.baseAddress
            let keys = keyOffsets.map { base?.advanced(by: $0) } + [nil]
            let values = valueOffsets.map { base?.advanced(by: $0) } + [nil]
            return keys.withUnsafeBufferPointer { keys in
                values.withUnsafeBufferPointer { values -> R? in
                    guard let keys = keys.baseAddress, let values = values.baseAddress else { return nil }
                    return body(keys, values)
                }
            }
        }
    }
}
