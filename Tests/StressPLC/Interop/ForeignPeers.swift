import ALDTestKit
import Foundation
import XCTest

/// Modbus programs that share no code with ours; `.ci/setup --tests` installs what they are made of.
enum ForeignPeers {
    static let folder = Repository.root + "/Fixtures/Modbus/Peers/"
    private static let environment = Repository.root + "/.build/peers"

    /// The Python that has these packages.
    ///
    /// - Throws: `XCTSkip` where they are not installed, which fails the gate. Only tmodbus may be missing there: it
    ///   needs a Python that not every system has.
    static func python(with package: String) throws -> String {
        let installed = (try? String(contentsOfFile: environment + "/installed", encoding: .utf8)) ?? ""
        guard installed.split(separator: " ").contains(where: { $0.hasPrefix(package + "==") }) else {
            if package == "tmodbus", !installed.isEmpty {
                throw XCTSkip("tmodbus needs Python 3.12, which .ci/setup --tests did not find")
            }
            throw missing("\(package) for Python")
        }
        return environment + "/bin/python3"
    }

    /// Compiles one of the C programs of ``folder`` into `directory`.
    static func compiled(_ name: String, in directory: String) async throws -> String {
        let path = directory + "/" + name
        let compiler = try await ChildProcess.run(
            "/bin/sh",
            [
                "-c", #"cc -O2 -Wall -Wextra -Werror -o "$2" "$1" $(pkg-config --cflags --libs libmodbus)"#, "sh",
                folder + name + ".c", path,
            ])
        guard compiler.exitCode == 0 else {
            print(compiler.transcript)
            throw missing("a C compiler or libmodbus")
        }
        return path
    }

    static func missing(_ what: String) -> XCTSkip {
        XCTAssertNil(ProcessInfo.processInfo.environment["CI"], "the gate must have installed \(what)")
        return XCTSkip("there is no \(what); `make test` installs it (.ci/setup --tests)")
    }
}

/// The servers of other people, each holding ``IndexTables``.
enum ForeignServer: String, CaseIterable {
    case libmodbus = "libmodbus"
    case pymodbus = "pymodbus"
    case pyModbusTCP = "pyModbusTCP"
    case uModbus = "uModbus"
    case modbusTK = "modbus-tk"

    /// Starts it, passes its port, and ends it whatever happens.
    func serve(_ body: @escaping (_ port: Int) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let (program, arguments) = try await self.command(directory)
            _ = try await ChildProcess.run(program, arguments) { server in
                try await eventually("\(self.rawValue) listens") {
                    server.output.contains { $0.hasPrefix("listening ") }
                }
                try await body(try XCTUnwrap(server.output.first.flatMap { Int($0.dropFirst("listening ".count)) }))
                server.send(SIGTERM)
            }
        }
    }

    private func command(_ directory: String) async throws -> (String, [String]) {
        let size = String(IndexTables.size)
        switch self {
        case .libmodbus:
            return (try await ForeignPeers.compiled("libmodbus-server", in: directory), [size])
        case .pymodbus:
            let script = Repository.root + "/Fixtures/Modbus/pymodbus-server.py"
            return (try ForeignPeers.python(with: rawValue), ["-B", script, "--index", size])
        case .pyModbusTCP, .uModbus, .modbusTK:
            let script = ForeignPeers.folder + rawValue.lowercased() + "-server.py"
            return (try ForeignPeers.python(with: rawValue), ["-B", script, size])
        }
    }
}

/// The clients of other people.
enum ForeignClient: String, CaseIterable {
    case libmodbus = "libmodbus"
    case pymodbus = "pymodbus"
    case pyModbusTCP = "pyModbusTCP"
    case tmodbus = "tmodbus"

    /// Makes all calls, one after the other on one connection.
    ///
    /// - Parameter together: tmodbus only: all at once, without waiting for answers.
    /// - Returns: one line for each call, as `Fixtures/Modbus/Peers/calling.py` describes it.
    func results(of calls: [String], port: Int, together: Bool = false) async throws -> [String] {
        try await withTemporaryDirectory { directory in
            let arguments = [String(port)] + (together ? ["together"] : []) + calls
            let result: ChildResult
            if self == .libmodbus {
                let program = try await ForeignPeers.compiled("libmodbus-client", in: directory)
                result = try await ChildProcess.run(program, arguments)
            } else {
                let script = ForeignPeers.folder + rawValue.lowercased() + "-client.py"
                result = try await ChildProcess.run(
                    try ForeignPeers.python(with: rawValue), ["-B", script] + arguments)
            }
            XCTAssertEqual(result.exitCode, 0, result.errors.joined(separator: "\n"))
            return result.output
        }
    }
}
