// Trains Apple's MLImageClassifier for coremlbench.
//
// Started as `createml_worker FOLDER PROGRESS_FD`, like every worker. `FOLDER/request.json` names the images and the
// parameters; progress goes to the descriptor as JSON lines, the result to `FOLDER/result.json`. Exit code 1 after an
// error line. Started again with the same session folder it continues from the last checkpoint. SIGTERM and SIGINT
// cancel the training.
//
// The interface is that of Apple's documentation of Create ML; macOS 12 or later, for `values` of a publisher.
import CreateML
import Foundation

@main
struct Worker {
    static func main() async {
        guard CommandLine.arguments.count == 3, let descriptor = Int32(CommandLine.arguments[2]) else {
            FileHandle.standardError.write(Data("usage: createml_worker FOLDER PROGRESS_FD\n".utf8))
            exit(2)
        }
        signal(SIGPIPE, SIG_IGN)  // the supervisor's end shows as an error of write
        let cancellation = Cancellation()
        cancellation.watchSignals()
        let channel = ProgressChannel(descriptor: descriptor)
        do {
            try await run(URL(fileURLWithPath: CommandLine.arguments[1]), channel, cancellation)
        } catch {
            channel.send(error: FailureDescription(error))
            exit(1)
        }
        exit(0)
    }
}

/// Trains, tests and saves the classifier that the request in `folder` describes, and writes the result there.
func run(_ folder: URL, _ channel: ProgressChannel, _ cancellation: Cancellation) async throws {
    let request = try Request.read(from: folder)
    let outcome = try await train(request, channel: channel, cancellation: cancellation)
    let trained = Date()
    let predicted = try predict(request, with: outcome.classifier, channel: channel, cancellation: cancellation)
    let tested = Date()
    channel.report("export", 0, 1)
    try save(outcome.classifier, request, predicted: predicted)
    let timings = Timings(evaluate: tested.timeIntervalSince(trained), save: Date().timeIntervalSince(tested))
    let content = resultContent(outcome, predicted: predicted, timings: timings)
    try JSONSerialization.data(withJSONObject: content, options: [.sortedKeys])
        .write(to: folder.appendingPathComponent("result.json"), options: .atomic)
    channel.report("export", 1, 1)
}
