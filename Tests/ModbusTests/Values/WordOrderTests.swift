import Testing

@testable import Modbus

@Suite("Word orders: the bytes on the wire", .background)
struct WordOrderTests {
    // `a` (or A) is the most significant byte, so a value whose bytes are counted up shows the order by itself.
    @Test(
        "a value of 32 bits in the four orders",
        arguments: [
            (WordOrder.abcd, [0x0102, 0x0304]), (.badc, [0x0201, 0x0403]), (.cdab, [0x0304, 0x0102]),
            (.dcba, [0x0403, 0x0201]),
        ] as [(WordOrder, [UInt16])])
    func bits32(_ order: WordOrder, _ words: [UInt16]) {
        #expect(order.combine(words[0], words[1]) == 0x0102_0304)
        let split = order.split(UInt32(0x0102_0304))
        #expect([split.0, split.1] == words)
    }

    @Test(
        "a value of 64 bits in the four orders",
        arguments: [
            //                  ABCDEFGH
            (WordOrder.abcd, [0x0102, 0x0304, 0x0506, 0x0708]),
            //       BADCFEHG
            (.badc, [0x0201, 0x0403, 0x0605, 0x0807]),
            //       GHEFCDAB
            (.cdab, [0x0708, 0x0506, 0x0304, 0x0102]),
            //       HGFEDCBA
            (.dcba, [0x0807, 0x0605, 0x0403, 0x0201]),
        ] as [(WordOrder, [UInt16])])
    func bits64(_ order: WordOrder, _ words: [UInt16]) {
        #expect(order.combine(words[0], words[1], words[2], words[3]) == 0x0102_0304_0506_0708)
        let split = order.split(UInt64(0x0102_0304_0506_0708))
        #expect([split.0, split.1, split.2, split.3] == words)
    }
}
