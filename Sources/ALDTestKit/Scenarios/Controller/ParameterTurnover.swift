import ALDCore

/// Which parameters there are just now, and whether whoever looks sees them and no others.
struct ParameterTurnover {
    /// Every one of these comes and goes. Of ten one is there at a time, and of those one in ten changes at once.
    static let all = 1000
    private let (most, step): (Int, Int)

    private let map: RegisterMap
    private var random: SeededGenerator
    /// Places in the map, the one that was there first in front.
    private var present: [Int] = []
    private var changes = 0
    /// Changes of which somebody who has looked has not seen all.
    private var unseen = 0
    private var surplus = 0
    private var isSeen = true

    init(_ map: RegisterMap, seed: UInt64) {
        (self.map, random) = (map, SeededGenerator(seed: seed))
        most = max(1, map.parameters.count / 10)
        step = max(1, map.parameters.count / 100)
    }

    private var parameters: [Parameter] { present.map { map.parameters[$0] } }

    var entries: [Int32: MachineMetadata.Entry] {
        parameters.reduce(into: [:]) { entries, parameter in
            entries[parameter.id.rawValue] = MachineMetadata.Entry(
                minimum: parameter.range.lowerBound, maximum: parameter.range.upperBound,
                isWritable: parameter.isWritable)
        }
    }

    /// - Returns: what there is from now on.
    mutating func change() throws -> RegisterMap {
        (changes, isSeen) = (changes + 1, true)
        for _ in 0..<step {
            let index = Int.random(in: map.parameters.indices, using: &random)
            if !present.contains(index) { present.append(index) }
        }
        present.removeFirst(max(0, present.count - most))
        return try RegisterMap(parameters: parameters, wordOrder: map.wordOrder)
    }

    mutating func judge(_ scan: Scan) {
        judge(Set(scan.readings.map(\.parameter.rawValue)), isWhole: scan.readings.allSatisfy { $0.value != nil })
    }

    mutating func judge(_ entries: [Int32: MachineMetadata.Entry], isNew: Bool) {
        judge(Set(entries.keys), isWhole: isNew)
    }

    private mutating func judge(_ numbers: Set<Int32>, isWhole: Bool) {
        let due = Set(parameters.map(\.id.rawValue))
        surplus = max(surplus, numbers.subtracting(due).count)
        if isSeen, !isWhole || !due.isSubset(of: numbers) { (isSeen, unseen) = (false, unseen + 1) }
    }

    func note(_ run: ScenarioRun, _ way: ControllerWay) {
        run.note("\(way.rawValue): changes", count: changes)
        run.note("\(way.rawValue): unseen changes", count: unseen)
        run.note("\(way.rawValue): entries beyond those there are", count: surplus)
    }
}
