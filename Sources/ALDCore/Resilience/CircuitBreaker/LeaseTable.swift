/// The permits that are out. Slots are used again, so a permit is found without hashing; its serial tells it from
/// the ones that had the slot before.
struct LeaseTable: Sendable {
    struct Lease: Sendable {
        var serial: UInt64
        var deadline: MonotonicInstant
        var round: Int
    }

    private var slots: [Lease?] = []
    private var free: [Int] = []
    private var nextSerial: UInt64 = 0
    /// No lease ends before this.
    private(set) var earliest = MonotonicInstant(nanoseconds: .max)
    private(set) var count = 0

    mutating func insert(start: MonotonicInstant, deadline: MonotonicInstant, round: Int) -> CircuitBreaker.Permit {
        let lease = Lease(serial: nextSerial, deadline: deadline, round: round)
        nextSerial += 1
        count += 1
        earliest = min(earliest, deadline)
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot] = lease
        } else {
            slot = slots.count
            slots.append(lease)
        }
        return CircuitBreaker.Permit(slot: slot, serial: lease.serial, start: start, deadline: deadline)
    }

    /// - Returns: `nil` for a permit that is no longer out.
    mutating func remove(_ permit: CircuitBreaker.Permit) -> Lease? {
        guard slots.indices.contains(permit.slot), let lease = slots[permit.slot], lease.serial == permit.serial else {
            return nil
        }
        release(permit.slot)
        return lease
    }

    /// Takes out the leases that have ended, the first given first.
    mutating func removeExpired(now: MonotonicInstant) -> [Lease] {
        guard earliest <= now else { return [] }
        var expired: [Lease] = []
        var next = MonotonicInstant(nanoseconds: .max)
        for slot in slots.indices {
            guard let lease = slots[slot] else { continue }
            if lease.deadline <= now {
                expired.append(lease)
                release(slot)
            } else {
                next = min(next, lease.deadline)
            }
        }
        earliest = next
        return expired.sorted { $0.serial < $1.serial }
    }

    mutating func removeAll() {
        slots.removeAll(keepingCapacity: true)
        free.removeAll(keepingCapacity: true)
        earliest = MonotonicInstant(nanoseconds: .max)
        count = 0
    }

    private mutating func release(_ slot: Int) {
        slots[slot] = nil
        free.append(slot)
        count -= 1
        if count == 0 { earliest = MonotonicInstant(nanoseconds: .max) }
    }
}
