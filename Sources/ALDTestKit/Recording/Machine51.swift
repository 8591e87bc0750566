import ALDCore
import Foundation

/// The machine with 51 parameters, which is in the program: scenarios run also where there is no checkout.
enum Machine51 {
    static func map() throws(RegisterMapError) -> RegisterMap {
        try RegisterMap(csv: String(decoding: PackageResources.machine_51_csv, as: UTF8.self), file: name)
    }

    /// Writes it down for a process that reads it.
    ///
    /// - Returns: the file.
    static func write(in directory: String) throws -> String {
        let path = "\(directory)/\(name)"
        try Data(PackageResources.machine_51_csv).write(to: URL(fileURLWithPath: path))
        return path
    }

    private static let name = "machine-51.csv"
}
