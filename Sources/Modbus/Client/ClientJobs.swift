/// The calls that are pending, by their names.
///
/// Were they in a dictionary themselves, every change of one in place would allocate memory, three times for each
/// request. So they stand in an array, and the dictionary says where.
struct ClientJobs: Sendable {
    private var places: [JobID: Int] = [:]
    private var jobs: [ClientJob] = []

    var isEmpty: Bool { jobs.isEmpty }

    /// In the order of the calls.
    var ids: [JobID] { places.keys.sorted() }

    /// In no order that means something.
    var all: [ClientJob] { jobs }

    subscript(id: JobID) -> ClientJob? {
        places[id].map { jobs[$0] }
    }

    mutating func insert(_ job: ClientJob) {
        if let place = places[job.id] {
            jobs[place] = job
        } else {
            places[job.id] = jobs.count
            jobs.append(job)
        }
    }

    /// - Returns: what `change` returns; nil when there is no such call.
    @discardableResult
    mutating func change<Result>(_ id: JobID, _ change: (inout ClientJob) -> Result) -> Result? {
        places[id].map { change(&jobs[$0]) }
    }

    mutating func remove(_ id: JobID) -> ClientJob? {
        guard let place = places.removeValue(forKey: id) else { return nil }
        jobs.swapAt(place, jobs.count - 1)
        let job = jobs.removeLast()
        // The last one has moved into the gap.
        if place < jobs.count { places[jobs[place].id] = place }
        return job
    }
}
