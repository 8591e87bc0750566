import ALDTestKit
import Foundation
import Modbus
import Testing

@testable import ALDCore

@Suite("Register map") struct RegisterMapTests {
    static let header =
        "no,component,parameter,unit,min,max,writable,read_address,read_type,write_address,write_type,data_type,initial"

    static func map(_ lines: String...) throws(RegisterMapError) -> RegisterMap {
        try RegisterMap(csv: ([header] + lines).joined(separator: "\n"), file: "plant.csv")
    }

    static func complaint(_ lines: String...) -> String {
        do throws(RegisterMapError) {
            _ = try RegisterMap(csv: ([header] + lines).joined(separator: "\n"), file: "plant.csv")
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test("the 51-parameter machine is what its description says it is")
    func machine51() throws {
        let map = try RegisterMap(file: Repository.machine51)
        #expect(map.parameters.count == 51)
        #expect(map.parameters.count { $0.dataType == .float32 } == 18)
        #expect(map.parameters.count { $0.dataType == .int32 } == 7)
        #expect(map.parameters.count { $0.dataType == .binary } == 26)
        #expect(map.parameters.count { $0.isWritable } == 32)
        #expect(Set(map.parameters.map(\.component)).count == 27)
        let heater = try map.parameter(named: "Chamber Heater.temperature")
        #expect(heater.readLocation == RegisterLocation(table: .inputRegisters, address: 2018))
        #expect(heater.writeLocation == RegisterLocation(table: .holdingRegisters, address: 2000))
        #expect(heater.range == 0...1000 && heater.unit == "°C" && heater.initialValue == 25)
    }

    @Test("all 51 parameters are read in four requests")
    func readPlan() throws {
        let plan = try ReadPlanner().plan(RegisterMap(file: Repository.machine51).readSpans)
        let requests = Set(plan.requests.map { "\($0.table) \($0.range)" })
        #expect(
            requests == [
                "input registers 2002×82", "input registers 2110×88", "coils 0×39", "discrete inputs 35×2",
            ])
    }

    @Test("quoted fields, a byte order mark and Windows line ends are ordinary CSV")
    func csvForms() throws {
        let text =
            "\u{FEFF}" + Self.header + "\r\n"
            + "1,\"Heater \"\"A\"\", left\",temperature,°C,0,10,no,100,input_register,,,float,1\r\n\r\n"
        let map = try RegisterMap(csv: text)
        #expect(map.parameters.map(\.qualifiedName) == ["Heater \"A\", left.temperature"])
    }

    @Test("a wrong field is named with file, line, column and what was expected")
    func places() {
        #expect(
            Self.complaint("1,Heater,temperature,°C,zero,10,no,100,input_register,,,float,1")
                == "plant.csv:2:25: expected a smallest value (a number with a decimal point), found \"zero\"")
        #expect(
            Self.complaint("1,Heater,temperature,°C,0,10,no,70000,input_register,,,float,1")
                == "plant.csv:2:33: expected an address from 0 to 65534, found \"70000\"")
        #expect(
            Self.complaint("1,Heater,temperature,°C,0,10,no,100,input_register,,,double,1")
                == "plant.csv:2:54: unknown data type \"double\"; expected float, int32, int16, binary")
    }

    @Test("every problem is reported at once, in the order of the file")
    func allProblems() {
        let complaint = Self.complaint(
            "x,Heater,temperature,°C,0,10,maybe,100,input_register,,,float,1",
            "2,,flow,sccm,5,1,no,104,coil,,,float,1")
        #expect(
            complaint.split(separator: "\n").map { $0.prefix(while: { $0 != " " }) } == [
                "plant.csv:2:1:", "plant.csv:2:30:", "plant.csv:3:3:", "plant.csv:3:25:",
            ])
    }

    @Test("two parameters never share an address")
    func overlaps() {
        let complaint = Self.complaint(
            "1,Heater,temperature,°C,0,10,no,100,input_register,,,float,1",
            "2,Heater,pid_output,%,0,10,no,101,input_register,,,int32,1")
        #expect(
            complaint
                == "plant.csv:3:1: input registers 101 belongs to both Heater.temperature and Heater.pid_output; "
                + "give one of them another address")
        // The second word of the first value is as taken as the first.
        #expect(
            Self.complaint(
                "1,Heater,temperature,°C,0,10,yes,100,input_register,100,holding_register,float,1",
                "2,Heater,limit,°C,0,10,no,101,holding_register,,,int16,1"
            ).contains("holding registers 101 belongs to both"))
    }

    @Test("numbers and names are unique")
    func duplicates() {
        #expect(
            Self.complaint(
                "1,Heater,temperature,°C,0,10,no,100,input_register,,,float,1",
                "1,Heater,flow,°C,0,10,no,200,input_register,,,float,1"
            ).hasPrefix("plant.csv:3:1: number 1 is used twice"))
        #expect(
            Self.complaint(
                "1,Heater,temperature,°C,0,10,no,100,input_register,,,float,1",
                "2,Heater,temperature,°C,0,10,no,200,input_register,,,float,1"
            ).hasPrefix("plant.csv:3:1: Heater.temperature stands twice"))
    }

    static let badFiles: [(text: String, reason: String)] = [
        ("", "is empty"),
        ("no,component\n1,Heater", "the header lacks \"parameter\""),
        ("\(header)", "has a header and nothing else"),
        ("\(header),colour\n", "unknown column \"colour\""),
        ("\(header)\n1,Heater", "this line has 2 fields; the header has 13"),
        ("\(header)\n1,\"Heater,x\n", "never ends; expected a closing \""),
        ("\(header)\n1,H,t,,0,10,no,1,input_register,5,holding_register,float,1", "has no write address"),
        ("\(header)\n1,H,t,,0,10,yes,1,input_register,5,input_register,float,1", "expected coil, holding_register"),
        ("\(header)\n1,H,t,,0,10,no,1,coil,,,float,1", "a float needs registers, and coil holds single bits"),
        ("\(header)\n1,H,t,,0,10,no,1,input_register,,,float,11", "initial value 11.0 is outside 0.0 … 10.0"),
    ]

    @Test("files that are no register map are refused with the reason", arguments: badFiles)
    func refusals(text: String, reason: String) {
        do throws(RegisterMapError) {
            _ = try RegisterMap(csv: text, file: "plant.csv")
            Issue.record("accepted: \(text)")
        } catch {
            #expect("\(error)".contains(reason), "\(error)")
        }
    }

    @Test("a file that is not there, or is not text, is named")
    func unreadableFiles() async throws {
        #expect(throws: RegisterMapError.self) { try RegisterMap(file: "/nowhere/plant.csv") }
        do throws(RegisterMapError) { _ = try RegisterMap(file: "/nowhere/plant.csv") } catch {
            #expect("\(error)" == "/nowhere/plant.csv: cannot be read: there is no such file")
        }
        try await withTemporaryDirectory { directory in
            let file = directory + "/latin1.csv"
            try Data([0x6E, 0x6F, 0xE9, 0x0A]).write(to: URL(fileURLWithPath: file))
            do throws(RegisterMapError) {
                _ = try RegisterMap(file: file)
                Issue.record("accepted")
            } catch {
                #expect("\(error)".contains("is not UTF-8"))
            }
        }
    }

    @Test("an unknown parameter is refused with the names that come close")
    func unknownParameter() throws {
        let map = try RegisterMap(file: Repository.machine51)
        do throws(PLCError) {
            _ = try map.parameter(named: "mfc 1")
            Issue.record("found")
        } catch {
            #expect(
                "\(error)"
                    == "unknown parameter \"mfc 1\"; did you mean \"MFC 1.flow\" or \"MFC 1.power_on\": "
                    + "it is not in the register map")
        }
        #expect(throws: PLCError.self) { try map.restricted(to: ["MFC 1.flow", "MFC 1.colour"]) }
        #expect(
            try map.restricted(to: ["MFC 1.power_on", "MFC 1.flow"]).parameters.map(\.name) == ["flow", "power_on"])
    }

    @Test("mutated files never crash the parser and are never half accepted", .background)
    func mutations() async throws {
        let original = Array(try String(contentsOfFile: Repository.machine51, encoding: .utf8))
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        let spice: [Character] = ["\"", ",", "\n", "\r\n", "-", "9", "é", "\0", "x", " "]
        for round in 0..<300 {
            await TestSeed.letOthersRun(round: round)
            var text = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<text.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: text.remove(at: index)
                case 1: text[index] = spice[Int.random(in: 0..<spice.count, using: &random)]
                default: text.insert(spice[Int.random(in: 0..<spice.count, using: &random)], at: index)
                }
            }
            do throws(RegisterMapError) {
                let map = try RegisterMap(csv: String(text))
                #expect(RegisterMapRules.conflicts(among: map.parameters).isEmpty, "seed \(seed)")
            } catch {
                #expect(!error.problems.isEmpty && error.problems.allSatisfy { $0.line >= 0 }, "seed \(seed)")
            }
        }
    }
}
