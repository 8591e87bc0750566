import Foundation

/// Files of this repository that tests of several targets use.
public enum Repository {
    /// The root of the checkout this was built from.
    public static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.path
    }()

    /// The machine with 51 parameters.
    public static var machine51: String { root + "/Fixtures/Machine/machine-51.csv" }

    /// The addresses of a machine with 137 parameters.
    public static var registers137: String { root + "/Fixtures/Modbus/registers-137.csv" }
}
