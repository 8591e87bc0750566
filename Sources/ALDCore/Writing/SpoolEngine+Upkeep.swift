import Logging

/// Segments come and go, and room is made.
extension SpoolEngine {
    var isActiveTooOld: Bool { nextRow > 1 && time.now - activeSince >= configuration.segmentAge }

    /// Closes the active segment to new batches and begins the next one: the one in reserve when there is one.
    ///
    /// - Returns: whether there is a new one; otherwise everything is as before.
    @discardableResult mutating func roll() -> Bool {
        let old = active
        if manifest[old]?.isSuspect == false, let segment = segments[old] {
            do {
                try segment.checkpoint()
                sizes[old] = segment.size
            } catch {
                // The log is read as well as the database. That it stays costs space and nothing else.
                logger.warning("a closed segment keeps its log", metadata: ["segment": "\(old)", "error": "\(error)"])
            }
        }
        pass(.rollCheckpointed)
        do {
            let next = try spare ?? makeSegment()
            spare = nil
            manifest[next]?.isUsed = true
            let rows = manifest[old]?.rows ?? nextRow - 1
            manifest[old]?.rows = rows
            saveManifest("beginning a segment")
            pass(.rollDone)
            (active, nextRow, activeSince) = (next, 1, time.now)
            return true
        } catch {
            logger.error("the spool cannot begin a new segment", metadata: ["error": "\(error)"])
            return false
        }
    }

    /// Makes the file of a new segment, durable with its name, but not used yet.
    mutating func makeSegment() throws -> Int64 {
        let entry = SpoolManifest.Segment(index: manifest.nextIndex)
        let path = files.path(entry)
        do {
            let segment = try files.segment(index: entry.index, path: path)
            try files.syncDirectory()
            segments[entry.index] = segment
            sizes[entry.index] = segment.size
            pass(.segmentMade)
            manifest[entry.index] = entry
            return entry.index
        } catch {
            files.deleteDatabase(path)
            throw error
        }
    }

    /// Sees to it that the next segment exists and has its space.
    mutating func prepareSpare() {
        guard spare == nil, time.now >= upkeepAfter else { return }
        let reserved = 2 * Int64(configuration.spareBytes)
        guard configuration.quota.level(used: usedBytes, free: files.freeSpace, needed: 2 * reserved) < .red else {
            upkeepAfter = time.now + Self.upkeepPause
            return
        }
        do {
            let index = try makeSegment()
            if configuration.spareBytes > 0 { try segments[index]?.reserve(bytes: configuration.spareBytes) }
            pass(.segmentReserved)
            sizes[index] = segments[index]?.size
            spare = index
            saveManifest("keeping a segment in reserve")
        } catch {
            logger.warning("the spool has no segment in reserve", metadata: ["error": "\(error)"])
            upkeepAfter = time.now + Self.upkeepPause
        }
    }

    mutating func prepareBallast() {
        guard !hasBallast, configuration.ballastBytes > 0, time.now >= upkeepAfter else { return }
        let isRoom = files.freeSpace - configuration.ballastBytes > configuration.freeSpaceFloor
        hasBallast = isRoom && files.fillBallast(bytes: configuration.ballastBytes)
        if !hasBallast { upkeepAfter = time.now + Self.upkeepPause }
    }

    // MARK: Room

    /// - Throws: `full` when the batches do not fit into what the spool may take.
    mutating func makeRoom(for batches: [StoredBatch]) throws(SpoolError) {
        let needed = batches.reduce(Self.commitOverhead) { $0 + Int64($1.header.bytes) + Self.batchOverhead }
        func levelNow() -> SpoolLevel {
            configuration.quota.level(used: usedBytes, free: files.freeSpace, needed: needed)
        }
        var found = levelNow()
        while found >= .orange, shrinkRetained() { found = levelNow() }
        if found != level {
            logger.log(
                level: found > level ? .warning : .info, "the spool's level has changed",
                metadata: ["level": "\(found.rawValue)", "used": "\(usedBytes)", "free": "\(files.freeSpace)"])
            level = found
        }
        guard found < .red else {
            throw SpoolError(
                .full, file: files.directory,
                "\(needed) bytes do not fit: \(usedBytes) of \(configuration.maximumBytes) are used, \(files.freeSpace) are "
                    + "free on the disk, of which \(configuration.freeSpaceFloor) are for others")
        }
    }

    /// Gives up the oldest segment that is only retained. None is while it is being found out whether the database has
    /// forgotten what is in it: nothing accepted is lost for the sake of what is not accepted yet.
    ///
    /// - Returns: whether there was one.
    mutating func shrinkRetained() -> Bool {
        let (isActiveSettled, isDoubted) = book.withLock { ($0.isSettled(active) ?? false, $0.isDoubted) }
        if isDoubted { return false }
        if isActiveSettled, nextRow > 1, retained.isEmpty, !roll() {
            // Not even a new file fits beside it. All that is in it is in the database: the next commit begins anew.
            release(active)
            return true
        }
        guard let index = retained.first else { return false }
        logger.warning(
            "disk space is short: confirmed batches are given up before the end of their retained window",
            metadata: ["segment": "\(index)"])
        release(index)
        return true
    }

    /// A full disk refuses even the note that a batch has landed.
    mutating func makeRoomForProgress() {
        if shrinkRetained() { return }
        if hasBallast {
            hasBallast = !files.dropBallast()
            upkeepAfter = time.now + Self.upkeepPause
            logger.warning("the disk is full: the spool has given up its ballast")
        }
    }

    /// Segments whose batches are all settled, oldest first; never the active one or the one in reserve.
    var retained: [Int64] {
        let unsettled = book.withLock(\.unsettled)
        return manifest.segments.lazy.map(\.index).filter {
            $0 != active && $0 != spare && !unsettled.contains($0)
        }
    }

    /// Deletes what has been retained long enough, and what is too much.
    ///
    /// - Parameter most: segments; each costs a write of the manifest, for which whoever wants a commit waits.
    mutating func releaseRetained(atMost most: Int = .max) {
        let window = configuration.window
        let (compared, isDoubted) = book.withLock { ($0.comparedAt, $0.isDoubted) }
        var kept = retained
        // Not counted while even everything together is not too much.
        var bytes = usedBytes > window.maximumBytes ? kept.reduce(0) { $0 + sizes[$1, default: 0] } : 0
        var count = 0
        while count < most, let index = kept.first {
            count += 1
            // Of an empty one there is nothing to forget.
            let since = book.withLock { $0[index].flatMap { $0.rows > 0 ? $0.settledSince : nil } }
            let isOver = since.map { window.isOver(settledSince: $0, comparedAt: compared) } ?? true
            guard isOver || bytes > window.maximumBytes && !isDoubted else { return }
            if !isOver {
                logger.info(
                    "confirmed batches are more than are retained: the oldest are given up before their time",
                    metadata: ["segment": "\(index)", "bytes": "\(bytes)", "limit": "\(window.maximumBytes)"])
            }
            bytes -= sizes[index, default: 0]
            kept.removeFirst()
            release(index)
        }
    }

    /// Forgets and deletes a segment. In this order: a file that the manifest does not name is no alarm.
    private mutating func release(_ index: Int64) {
        guard let entry = manifest[index] else { return }
        manifest.release(entry)
        manifest.recorded = recorded.isEmpty ? nil : recorded.values.sorted { $0.machine < $1.machine }
        let isNoted = saveManifest("releasing a segment")
        pass(.releaseNoted)
        do {
            // The space of a file is free only when nobody has it open.
            try segments[index]?.close()
        } catch {
            logger.warning("a released segment did not close", metadata: ["segment": "\(index)", "error": "\(error)"])
        }
        segments[index] = nil
        sizes[index] = nil
        book.withLock { $0[index] = nil }
        files.deleteDatabase(files.path(entry))
        pass(.releaseDone)
        // On a full disk there is room for the manifest only now.
        if !isNoted { saveManifest("having released a segment") }
    }
}
