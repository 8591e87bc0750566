import Logging
import Synchronization

/// The calls that the state machine asks for. Each ends with exactly one report.
extension BatchWriter {
    func read(
        _ lane: Spool.Lane, after position: SpoolPosition, _ limits: Spool.Limits,
        excluding excluded: Set<SpoolPosition>, kinds: Set<BatchKind>
    ) async {
        do throws(SpoolError) {
            let batches = try await spool.waiting(
                in: lane, after: position, limits: limits, excluding: excluded, kinds: kinds)
            report(.read(lane, batches.map(WriterLane.Slot.init)), batches)
        } catch {
            spoolFailed(lane, error)
        }
    }

    func readAhead(_ lane: Spool.Lane, _ limits: Spool.Limits, excluding excluded: Set<SpoolPosition>) async {
        // What cannot be read is told when it is needed.
        let batches = (try? await spool.waiting(in: lane, limits: limits, excluding: excluded)) ?? []
        report(.readAhead(lane, batches.map(WriterLane.Slot.init)), batches)
    }

    func deliver(_ stored: [StoredBatch], of lane: Spool.Lane, by deadline: MonotonicInstant) async {
        spool.noteAttempts(stored.map(\.position))
        do throws(SinkFault) {
            var batches: [Batch] = []
            for batch in stored { batches.append(try decoded(batch)) }
            pass(.sendBefore)
            let askedAt = time.now
            let landings = try await sink.deliver(batches, deadline: deadline)
            pass(.sendAfter)
            guard landings.count == stored.count else {
                throw SinkFault(.ownBug, "\(stored.count) batches were sent, the sink speaks of \(landings.count)")
            }
            noteSession()
            confirm(zip(stored, landings).filter { $0.1.isInDatabase }.map(\.0), askedAt: askedAt)
            noteLanded(stored.first)
            report(.answered(lane, landings))
        } catch {
            noteFault(error, batch: stored.first)
            report(.failed(lane, error))
        }
    }

    /// A connection that ended while nobody used it is replaced without a fault that anybody sees. The database behind
    /// the new one may have forgotten what the old one had confirmed.
    private func noteSession() {
        let session = sink.session
        let isAnother = progress.withLock { progress -> Bool in
            defer { progress.session = session }
            guard progress.session != session else { return false }
            let isFirst = progress.session == nil
            if !isFirst {
                progress.isReconciled = false
                progress.doubts += 1
            }
            // Under the lock, so that it is not lifted before it is there. With the first answer the start's own question
            // may have to be asked yet.
            if !progress.isReconciled { spool.doubt(true) }
            return !isFirst
        }
        if isAnother { report(.reconnected) }
    }

    /// A batch of a format that this version does not know is kept for one that does.
    private func decoded(_ stored: StoredBatch) throws(SinkFault) -> Batch {
        do throws(SpoolError) {
            return try stored.batch()
        } catch {
            throw SinkFault(.ownBug, "\(error)", cause: "a batch in the spool cannot be read")
        }
    }

    private func confirm(_ batches: [StoredBatch], askedAt: MonotonicInstant) {
        let letters = batches.filter { $0.header.format == BatchCoding.Format.deadLetters.rawValue }
        // Under the lock under which both are read: nobody sees one without the other.
        progress.withLock { progress in
            progress.deadLettered += letters.reduce(0) { $0 + $1.header.records }
            spool.acknowledge(batches.map(\.header), comparedAt: progress.isReconciled ? askedAt : nil)
        }
        pass(.acknowledged)
    }

    func void(
        _ stored: StoredBatch?, of lane: Spool.Lane, _ way: WriterLane.Cut, because fault: SinkFault?,
        by deadline: MonotonicInstant
    ) async {
        do throws(SinkFault) {
            guard let stored else { throw SinkFault(.ownBug, "there is no batch whose name could be closed") }
            let batch = try decoded(stored)
            let proposal = try await proposal(stored, batch, way, because: fault)
            pass(.voidBefore)
            let askedAt = time.now
            let closing = try await sink.void(batch, as: proposal, deadline: deadline)
            pass(.voidAfter)
            noteSession()
            switch closing {
            case .closed(let cut):
                if cut.first != proposal.first {
                    logger.notice(
                        "a batch was cut before, by an earlier process or a copy of this spool; the same is done here",
                        metadata: ["batch": "\(batch.id)", "cut": "\(cut.way.text)", "first": "\(cut.first)"])
                }
                report(Report(event: .answered(lane, [.voided]), decided: cut))
            case .landed:
                confirm([stored], askedAt: askedAt)
                report(.answered(lane, [.known]))
            case .collision: report(.answered(lane, [.collision]))
            }
        } catch {
            noteFault(error, batch: stored)
            report(.failed(lane, error))
        }
    }

    private func proposal(
        _ stored: StoredBatch, _ batch: Batch, _ way: WriterLane.Cut, because fault: SinkFault?
    ) async throws(SinkFault) -> BatchCut {
        do throws(SpoolError) {
            var cut = BatchCut(way: way, first: try await spool.namesForParts())
            if let row = way.letterRow(of: batch.records.count) {
                let evidence = (fault?.evidence ?? FaultEvidence(message: fault?.message ?? "refused")).withoutNulls
                cut.letter = DeadLetter(
                    batch.records[row..<row + 1], batch: batch.id, row: row, refusedAt: time.wallClock,
                    attempts: stored.attempts + 1, evidence: evidence)
            }
            return cut
        } catch {
            throw SinkFault(.ownBug, "\(error)", cause: "the spool cannot be read or written")
        }
    }

    /// - Parameter cut: what was decided when the name was closed.
    func cut(_ stored: StoredBatch?, of lane: Spool.Lane, _ cut: BatchCut?) async {
        do throws(SpoolError) {
            guard let stored, let cut else {
                throw SpoolError(.invalidRecord, file: "the writer's bench", "there is no batch to be cut")
            }
            let batch = try stored.batch()
            let parts = batch.records.parts(of: cut)
            pass(.recutBefore)
            _ = try await spool.recut(stored.position, into: parts, machine: batch.machine, named: cut.first)
            if let letter = cut.letter {
                logger.error(
                    "a record was refused and becomes a dead letter",
                    metadata: ["batch": "\(batch.id)", "fault": "\(letter.evidence.message)"])
            }
            report(.cut(lane))
        } catch {
            spoolFailed(lane, error)
        }
    }

    /// What the database has confirmed and does not know any more waits again.
    func reconcile(after position: SpoolPosition, batches: Int64, by deadline: MonotonicInstant) async {
        var resurrected = 0
        var asked = false
        do {
            let page = try await spool.retainedPage(after: position, looksAt: batches)
            for (_, batches) in Dictionary(grouping: page.batches, by: \.machine) {
                pass(.reconcileBefore)
                let askedAt = time.now
                let missing = try await sink.missing(of: batches, deadline: deadline)
                progress.withLock { $0.askedAt = askedAt }
                guard let missing else { continue }
                asked = true
                noteSession()
                guard !missing.isEmpty else { continue }
                pass(.reconcileAnswered)
                resurrected += try await spool.resurrect(missing)
                pass(.reconcileResurrected)
            }
            if resurrected > 0 {
                logger.error(
                    "the database had forgotten batches that it had confirmed; they are sent again",
                    metadata: ["batches": "\(resurrected)"])
            }
            report(.reconciled(through: page.end, resurrected: resurrected, asked: asked))
        } catch let fault as SinkFault {
            reconcileFailed(fault)
        } catch {
            reconcileFailed(
                SinkFault(.ownBug, "\(error)", cause: "the spool cannot be compared with the ledger"))
        }
    }

    private func reconcileFailed(_ fault: SinkFault) {
        // Who cannot find out before somebody has changed something goes on recording meanwhile.
        if !fault.faultClass.passes { spool.doubt(false) }
        noteFault(fault, batch: nil)
        report(.reconcileFailed(fault))
    }

    private func pass(_ point: FailPoint) { configuration.failPoints.pass(point) }

    // MARK: Telling

    private func spoolFailed(_ lane: Spool.Lane, _ error: SpoolError) {
        // Nothing may be skipped, so this waits for somebody to look at it.
        let fault = SinkFault(.serverSick, "\(error)", cause: "the spool cannot be read or written")
        noteFault(fault, batch: nil)
        report(.spoolFailed(lane, fault))
    }

    private func noteLanded(_ batch: StoredBatch?) {
        let recovered = progress.withLock { progress -> Bool in
            defer { progress.lastFault = nil }
            return progress.lastFault != nil
        }
        if recovered { logger.info("batches land again", metadata: ["batch": "\(describe(batch))"]) }
    }

    private func noteFault(_ fault: SinkFault, batch: StoredBatch?) {
        let isNews = progress.withLock { progress -> Bool in
            progress.failed += 1
            defer { progress.lastFault = fault.cause }
            return progress.lastFault != fault.cause
        }
        // The same fault is reported once, not once per attempt: an outage must not fill the log.
        if isNews {
            logger.warning(
                "batches did not land and stay in the spool",
                metadata: [
                    "batch": "\(describe(batch))", "class": "\(fault.faultClass.rawValue)", "fault": "\(fault.message)",
                ])
        }
    }

    private func describe(_ batch: StoredBatch?) -> String { batch.map { "\($0.header.id)" } ?? "none" }
}

extension BatchLanding {
    /// Whether its records are, or once were, where they belong.
    var isInDatabase: Bool {
        switch self {
        case .landed, .known, .forgotten: true
        case .collision, .voided, .unregistered: false
        }
    }
}

extension WriterLane.Slot {
    fileprivate init(_ batch: StoredBatch) {
        self.init(position: batch.position, records: batch.header.records, kind: batch.header.kind)
    }
}
