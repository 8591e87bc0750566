import ALDCore
import Synchronization

/// Stands between a writer and its database and breaks a promise, to show that somebody would notice.
struct BuggySink: ForwardingSink {
    let sink: any BatchSink
    let bug: MachineDay.PlantedBug

    init(_ database: WorldDatabase, bug: MachineDay.PlantedBug) {
        (sink, self.bug) = (database, bug)
    }

    var session: Int { bug == .neverReconciles ? 0 : sink.session }

    func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
        switch bug {
        case .trustsSilence:
            do throws(SinkFault) {
                return try await sink.deliver(batches, deadline: deadline)
            } catch {
                guard error.faultClass == .inDoubt else { throw error }
                return batches.map { _ in .landed }
            }
        case .forgetsNames:
            let renamed = batches.map { batch in
                var batch = batch
                batch.id.number = batch.id.number &* 1_000_003 &+ deadline.nanoseconds
                return batch
            }
            return try await sink.deliver(renamed, deadline: deadline)
        case .changesValues:
            return try await sink.deliver(batches.map(changed), deadline: deadline)
        case .losesLetters:
            if case .deadLetters = batches.first?.records { return batches.map { _ in .landed } }
            return try await sink.deliver(batches, deadline: deadline)
        case .buriesTheNeighbour, .buriesEverything:
            do throws(SinkFault) {
                return try await sink.deliver(batches, deadline: deadline)
            } catch {
                throw misread(error, at: deadline)
            }
        case .neverReconciles, .writesAgain, .forgetsOrder, .outlivesDeadlines, .outlivesLeases, .claimsSuccess,
            .leavesValvesOpen, .losesTheBell, .swallowsWhatDoesNotFit:
            return try await sink.deliver(batches, deadline: deadline)
        }
    }

    private func misread(_ fault: SinkFault, at instant: MonotonicInstant) -> SinkFault {
        var fault = fault
        if bug == .buriesEverything {
            fault.evidence?.constraint = "rule \(instant.nanoseconds / 1000 % 60)"
        } else if let line = fault.evidence?.copyLine {
            fault.evidence?.context = "COPY parameter_value_history, line \(line + 1)"
        }
        return fault
    }

    private func changed(_ batch: Batch) -> Batch {
        guard batch.id.number.isMultiple(of: 97), case .history(var rows) = batch.records, !rows.isEmpty else {
            return batch
        }
        rows[0].value = (rows[0].value ?? 0) + 1
        var batch = batch
        batch.records = .history(rows)
        return batch
    }

    func missing(of batches: [BatchHeader], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchHeader]? {
        bug == .neverReconciles ? [] : try await sink.missing(of: batches, deadline: deadline)
    }
}
