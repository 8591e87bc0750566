import Foundation

/// A table that is redrawn in place on a terminal.
struct LiveTable {
    let output: StandardStream
    /// Lines that are on the screen.
    private var drawn = 0

    init(output: StandardStream) {
        self.output = output
    }

    /// Replaces what is on the screen by the lines that fit a terminal of this width and height.
    mutating func show(_ lines: (_ width: Int, _ height: Int) -> [String]) {
        var size = winsize()
        let isKnown = ioctl(output.descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        let lines = lines(isKnown ? Int(size.ws_col) : 80, isKnown ? Int(size.ws_row) : 24)
        let erase = drawn == 0 ? "" : "\r\u{1B}[\(drawn)A\u{1B}[J"
        drawn = lines.count
        output.write(erase + lines.map { $0 + "\n" }.joined())
    }
}
