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

    /// Somebody who followed the cut of another process has some of its names, and not those before them.
    @Test func namesOfPartsAreNeverForgotten() {
        var manifest = manifest
        manifest.segments[0].content.append(Self.range(BatchCut.origin(of: 5), 4, 6))
        for segment in manifest.segments { manifest.release(segment) }
        #expect(Set(manifest.forgotten) == [BatchID(origin: 5, number: 20), BatchID(origin: 6, number: 9)])
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

    /// Only those who may have written to it are concerned, not all who come after them, for ever.
    @Test func aLossOfUnknownExtentConcernsNobodyWhoBeginsLater() throws {
        var manifest = manifest
        manifest.begin(origin: 6)
        manifest.add(Self.loss())
        manifest.begin(origin: 7)
        manifest.segments.append(Self.segment(4, Self.range(6, 10, 10), Self.range(7, 1, 30)))
        for segment in manifest.segments { manifest.release(segment) }
        #expect(manifest.forgotten == [BatchID(origin: 7, number: 30)])
        // One that is found while somebody writes concerns him, too.
        manifest.add(Self.loss())
        #expect(manifest.forgotten == [])
        manifest.begin(origin: 8)
        manifest.release(Self.segment(5, Self.range(7, 31, 31), Self.range(8, 1, 2)))
        #expect(manifest.forgotten == [BatchID(origin: 8, number: 2)])
    }

    /// A version that did not note who begins has left the loss behind.
    @Test func aLossThatAnEarlierVersionFoundConcernsNobodyWhoBeginsNow() throws {
        var manifest = manifest
        manifest.losses = [Self.loss()]
        manifest.begin(origin: 9)
        for segment in manifest.segments { manifest.release(segment) }
        manifest.release(Self.segment(4, Self.range(9, 1, 3)))
        #expect(manifest.forgotten == [BatchID(origin: 9, number: 3)])
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
