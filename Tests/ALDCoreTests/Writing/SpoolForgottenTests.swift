import Testing

@testable import ALDCore

/// What a spool can never send again, decided from what its manifest names.
@Suite struct SpoolForgottenTests {
    private static func segment(_ index: Int64, _ content: BatchRange...) -> SpoolManifest.Segment {
        .init(index: index, content: content, rows: 9, isUsed: true)
    }

    private static func range(_ origin: Int64, _ first: Int64, _ last: Int64) -> BatchRange {
        BatchRange(origin: origin, first: first, last: last)
    }

    private static func loss(_ batches: BatchRange...) -> SpoolLoss {
        SpoolLoss(file: "f", reason: "r", batches: batches, foundAt: 0)
    }

    private var manifest: SpoolManifest {
        var manifest = SpoolManifest()
        manifest.segments = [
            Self.segment(1, Self.range(5, 1, 10)), Self.segment(2, Self.range(5, 11, 20), Self.range(6, 1, 4)),
            Self.segment(3, Self.range(6, 5, 9)),
        ]
        return manifest
    }

    @Test func nothingIsForgottenThatAFileStillHolds() throws {
        var manifest = manifest
        #expect(manifest.forgotten == [])
        // The second goes before the first, which still waits: its numbers may come.
        manifest.release(manifest.segments[1])
        #expect(manifest.forgotten == [BatchID(origin: 6, number: 4)])
        manifest.release(manifest.segments[0])
        #expect(Set(manifest.forgotten) == [BatchID(origin: 5, number: 20), BatchID(origin: 6, number: 4)])
        manifest.release(manifest.segments[0])
        #expect(Set(manifest.forgotten) == [BatchID(origin: 5, number: 20), BatchID(origin: 6, number: 9)])
        #expect(manifest.segments.isEmpty)
    }

    /// A disk that was damaged may be replaced by its backup.
    @Test func nothingIsForgottenFromALostBatchOn() {
        var manifest = manifest
        manifest.losses = [Self.loss(Self.range(5, 15, 15))]
        for segment in manifest.segments { manifest.release(segment) }
        #expect(Set(manifest.forgotten) == [BatchID(origin: 5, number: 14), BatchID(origin: 6, number: 9)])
        manifest.losses.append(Self.loss())
        #expect(manifest.forgotten == [], "nobody knows what was in that file")
    }

    @Test func onlySoManyOriginsAreRemembered() {
        var manifest = SpoolManifest()
        for origin in 1...Int64(SpoolManifest.maximumReleased + 5) {
            manifest.release(Self.segment(origin, Self.range(origin, 1, 1)))
        }
        #expect(manifest.released?.count == SpoolManifest.maximumReleased)
        #expect(manifest.forgotten.first?.origin == 6)
    }
}
