import Foundation

/// Progress and errors on a descriptor, as JSON lines.
struct Channel: Sendable {
    let descriptor: Int32

    func report(_ step: Step) {
        send(["phase": step.phase, "done": step.done, "total": step.total, "message": step.message, "figures": [:]])
    }

    func send(_ failure: Failure) {
        let number: Any = failure.errno.map { Int($0) } ?? NSNull()
        send([
            "error": ["type": failure.type, "message": failure.message, "errno": number, "traceback": ""]
                as [String: Any]
        ])
    }

    private func send(_ object: [String: Any]) {
        guard let line = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) else { return }
        (line + Data([0x0A])).withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let written = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if written < 0 && errno == EINTR { continue }
                if written <= 0 { exit(1) }  // the supervisor has ended
                rest = rest.dropFirst(written)
            }
        }
    }
}
