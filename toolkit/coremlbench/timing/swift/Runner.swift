// Times Core ML models for coremlbench.
//
// `coreml_runner FOLDER PROGRESS_FD [PARENT_FD]`, as every worker: FOLDER/request.json says what to do; progress goes to
// the descriptor as JSON lines, the result to FOLDER/result.json. Exit code 1 after an error line. SIGTERM ends it, and
// so does the end of what comes from PARENT_FD: a pipe whose write end only the parent holds, however the parent ends.
//
// `coreml_runner --matrix KIT RESULTS` runs a kit: see Matrix.swift.
import Foundation

/// Ends this process when the descriptor ends. The thread costs nothing: it waits in one read.
private func endWithParent(_ descriptor: Int32) {
    let thread = Thread {
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) > 0 {}
        _exit(1)
    }
    thread.stackSize = 1 << 16
    thread.start()
}

private func performRequest(_ folder: URL, _ channel: Channel) async throws {
    let data = try contents(folder.appendingPathComponent("request.json"))
    let request: Request
    do { request = try JSONDecoder().decode(Request.self, from: data) } catch {
        throw RunnerError.request("The request cannot be understood: \(error)")
    }
    try await perform(request, base: folder, folder: folder, progress: channel.report)
}

/// Asks the system not to sleep and not to slow this process down, for as long as the value lives.
private func stayAwake() -> (any NSObjectProtocol)? {
    #if canImport(Darwin)
        return ProcessInfo.processInfo.beginActivity(
            options: [.userInitiated, .latencyCritical], reason: "Times a model.")
    #else
        return nil
    #endif
}

@main
struct Runner {
    static func main() async {
        let activity = stayAwake()
        signal(SIGPIPE, SIG_IGN)  // the supervisor's end shows as an error of write
        signal(SIGTERM, SIG_DFL)
        let arguments = CommandLine.arguments.dropFirst()
        let descriptors = arguments.dropFirst().compactMap { Int32($0) }
        if arguments.count == 3, arguments.first == "--matrix" {
            do {
                try runMatrix(kit: URL(fileURLWithPath: arguments[2]), results: URL(fileURLWithPath: arguments[3]))
            } catch {
                FileHandle.standardError.write(Data((describe(error) + "\n").utf8))
                exit(1)
            }
        } else if (2...3).contains(arguments.count), descriptors.count == arguments.count - 1 {
            if descriptors.count == 2 { endWithParent(descriptors[1]) }
            let channel = Channel(descriptor: descriptors[0])
            do { try await performRequest(URL(fileURLWithPath: arguments[1]), channel) } catch {
                channel.send(Failure(error))
                exit(1)
            }
        } else {
            let usage = "usage: coreml_runner FOLDER PROGRESS_FD [PARENT_FD] | coreml_runner --matrix KIT RESULTS\n"
            FileHandle.standardError.write(Data(usage.utf8))
            exit(2)
        }
        withExtendedLifetime(activity) {}
        exit(0)
    }
}
