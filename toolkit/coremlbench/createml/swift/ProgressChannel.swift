import Foundation

/// Writes progress and errors to a file descriptor, as JSON lines.
///
/// At most ten lines a second are written for a phase. Its first line, its last one (`done` reaches `total`) and lines
/// with figures are always written, so that no iteration is missing. A line that says the same as the one before is
/// not: the supervisor takes lines for a sign that the work goes on.
final class ProgressChannel: @unchecked Sendable {
    private let descriptor: Int32
    private let lock = NSLock()
    private var phase = ""
    private var done = -1
    private var sentAt = Date.distantPast

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    func report(
        _ phase: String, _ done: Int, _ total: Int, message: String = "", figures: [String: Double] = [:]
    ) {
        lock.lock()
        defer { lock.unlock() }
        let now = Date()
        guard phase != self.phase || done != self.done || !figures.isEmpty else { return }
        let isLast = total > 0 && done >= total
        let isDue = phase != self.phase || isLast || !figures.isEmpty || now.timeIntervalSince(sentAt) >= 0.1
        guard isDue else { return }
        (self.phase, self.done, sentAt) = (phase, done, now)
        write([
            "phase": phase, "done": done, "total": max(total, 0), "message": message,
            "figures": figures.filter { $0.value.isFinite },
        ])
    }

    /// Writes the error line, from which the supervisor recognises the kind of failure.
    func send(error: FailureDescription) {
        lock.lock()
        defer { lock.unlock() }
        let number: Any = error.posixCode.map { Int($0) } ?? NSNull()
        write(["error": ["type": error.type, "message": error.message, "errno": number, "traceback": ""]])
    }

    private func write(_ line: [String: Any]) {
        guard var data = try? JSONSerialization.data(withJSONObject: line, options: [.sortedKeys]) else { return }
        data.append(0x0A)
        data.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = posixWrite(descriptor, UnsafeRawBufferPointer(rebasing: rest))
                if count < 0 && errno == EINTR { continue }
                if count <= 0 { exit(1) }  // the supervisor has ended
                rest = rest.dropFirst(count)
            }
        }
    }
}

private func posixWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}
