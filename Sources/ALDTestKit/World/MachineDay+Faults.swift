import ALDCore

/// What the plan of faults does to the world, and its end.
extension MachineDay {
    mutating func strike(_ fault: WorldFault) throws {
        world.note("\(fault.kind.rawValue) \(fault.duration) \(fault.strength)")
        let strength = fault.strength
        switch fault.kind {
        case .databaseDown: database.faults.isDown = true
        case .databaseSlow: database.faults.delay = .milliseconds(Int64(50 + strength * 12_000))
        case .databaseRefuses: database.faults.refusals = 0.05 + strength * 0.95
        case .databaseRestarts: database.restart()
        case .databaseForgets:
            // Further back than the spool keeps what has landed nobody can help.
            if active.contains(where: { $0.kind == .diskFull }) { retainedSince = world.now }
            let instant = max(world.now - .milliseconds(Int64(strength * 120_000)), retainedSince)
            let forgotten = database.restore(to: instant)
            commands.restore(to: instant)
            if forgotten > 0 { report.reached.insert("database forgot commits") }
        case .answersLost: database.faults.lostAnswers = 0.05 + strength * 0.45
        case .callsLost: database.faults.lostCalls = 0.05 + strength * 0.45
        case .callsLate: database.faults.lateCalls = 0.05 + strength * 0.45
        case .plcDown: plcFaults.isDown = true
        case .plcSlow: plcFaults.delay = .milliseconds(Int64(50 + strength * 3000))
        case .plcLossy: plcFaults.lostCalls = 0.05 + strength * 0.95
        case .crash:
            try awaitMoment(strength)
            try crash()
            report.bites[fault.kind.bite, default: 0] += 1
        case .freeze:
            guard let life else { return }
            life.node.freeze(for: fault.duration)
            thawed = max(thawed, world.now + fault.duration)
            report.bites[fault.kind.bite, default: 0] += 1
        case .clockStep:
            // Never by the same amount twice, so that no two readings bear the same time.
            clockSteps += 1
            clockAhead = .milliseconds(Int64((strength - 0.5) * 120_000)) + .microseconds(clockSteps)
            life?.node.setClock(ahead: clockAhead)
            report.bites[fault.kind.bite, default: 0] += 1
        case .readingsRefused:
            // Single ones are an accident and become dead letters; of many the schema is the cause, and they wait.
            let share = strength < 0.7 ? 0.000_5 + strength * 0.01 : strength
            database.faults.refusedReadings = share
            refusedAtMost = max(refusedAtMost, share)
        case .diskFull:
            // Others have taken the rest: of what there is only a part has room, until something of it goes.
            if let disk { disk.capacity = Int64(Double(disk.used) * strength) }
        }
        life?.plc.faults = plcFaults
        if fault.duration > .zero { active.append(fault) }
    }

    /// Chance alone would rarely meet the moments that matter: many crashes come while a command is carried out, or when
    /// it was and its end is not noted.
    private func awaitMoment(_ strength: Double) throws {
        guard let control = life?.control, strength < 0.6 else { return }
        try world.run(until: world.now + .seconds(60)) {
            strength < 0.2 ? control.statistics.executing > 0 : control.statistics.unnoted > 0
        }
    }

    mutating func heal(_ fault: WorldFault) throws {
        world.note("healed \(fault.kind.rawValue)")
        switch fault.kind {
        case .databaseDown: database.faults.isDown = false
        case .databaseSlow: database.faults.delay = .zero
        case .databaseRefuses: database.faults.refusals = 0
        case .answersLost: database.faults.lostAnswers = 0
        case .callsLost: database.faults.lostCalls = 0
        case .callsLate: database.faults.lateCalls = 0
        case .plcDown: plcFaults.isDown = false
        case .plcSlow: plcFaults.delay = .zero
        case .plcLossy: plcFaults.lostCalls = 0
        case .crash: if life == nil { try begin() }
        case .readingsRefused: database.faults.refusedReadings = 0
        case .diskFull:
            disk?.capacity = SimulatedDisk.plenty
            retainedSince = world.now
        case .databaseRestarts, .databaseForgets, .freeze, .clockStep: break
        }
        life?.plc.faults = plcFaults
    }
}
