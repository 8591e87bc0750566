import NIOCore
import Testing

@testable import Modbus

@Suite("The calls that are pending", .background) struct ClientJobsTests {
    private func job(_ number: UInt64) -> ClientJob {
        ClientJob(
            id: JobID(rawValue: number), work: .single(.read(.coils, AddressRange(UInt16(number)))), unit: 1,
            submitted: .uptimeNanoseconds(0), deadline: .uptimeNanoseconds(1))
    }

    @Test("whatever comes and goes, each is found under its own name, like in a dictionary")
    func likeADictionary() {
        var random = SeededGenerator(seed: 31)
        var (jobs, model) = (ClientJobs(), [JobID: Int]())
        for round in 0..<20_000 {
            let id = JobID(rawValue: .random(in: 0..<40, using: &random))
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                jobs.insert(job(id.rawValue))
                model[id] = 0
            case 1:
                let changed: Void? = jobs.change(id) { $0.next = round }
                #expect((changed != nil) == (model[id] != nil))
                if model[id] != nil { model[id] = round }
            default:
                #expect(jobs.remove(id)?.next == model.removeValue(forKey: id))
            }
            let asked = JobID(rawValue: .random(in: 0..<40, using: &random))
            guard jobs[asked]?.next == model[asked], jobs[asked].map({ $0.id == asked }) != false,
                jobs.isEmpty == model.isEmpty
            else {
                Issue.record("round \(round): \(asked)")
                return
            }
        }
        #expect(jobs.ids == model.keys.sorted())
        #expect(jobs.all.map(\.id).sorted() == jobs.ids)
    }
}
