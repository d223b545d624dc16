import Combine
import CreateML
import Foundation

/// The request to end, by SIGTERM or SIGINT. It cancels the training job, also one that is set after the signal.
final class Cancellation: @unchecked Sendable {
    private let lock = NSLock()
    private var isRequested = false
    private var job: MLJob<MLImageClassifier>?
    private var sources: [any DispatchSourceSignal] = []

    func watchSignals() {
        for number in [SIGTERM, SIGINT] {
            signal(number, SIG_IGN)  // the default would end the process before the source sees the signal
            let source = DispatchSource.makeSignalSource(signal: number, queue: DispatchQueue(label: "signals"))
            source.setEventHandler { [weak self] in self?.request() }
            source.resume()
            sources.append(source)
        }
    }

    func set(job: MLJob<MLImageClassifier>) {
        lock.lock()
        self.job = job
        let isRequested = self.isRequested
        lock.unlock()
        if isRequested { job.cancel() }
    }

    func check() throws {
        lock.lock()
        defer { lock.unlock() }
        if isRequested { throw MLCreateError.cancelled }
    }

    private func request() {
        lock.lock()
        isRequested = true
        let job = self.job
        lock.unlock()
        job?.cancel()
    }
}

/// A trained classifier, and how it came about.
struct TrainingOutcome {
    let classifier: MLImageClassifier
    let observer: TrainingObserver
    /// Seconds from the observer's creation to the end of the job.
    let seconds: Double
    /// The phase and the iteration that the session had reached before this process.
    let resumedPhase: MLPhase
    let resumedIteration: Int
    let reusedFeatures: Bool
}

/// Trains the classifier of a request, in a new session or from the last checkpoint of the one in its folder.
func train(_ request: Request, channel: ProgressChannel, cancellation: Cancellation) async throws -> TrainingOutcome {
    let observer = TrainingObserver(channel: channel, iterationLimit: request.iterations)
    channel.report("start", 0, 1, message: "starting Create ML")
    try request.training.check("training")
    try request.validation?.check("validation")
    let session = try MLImageClassifier.makeTrainingSession(
        trainingData: request.training.source,
        parameters: request.modelParameters(),
        sessionParameters: request.sessionParameters()
    )
    let (resumedPhase, resumedIteration) = (session.phase, session.iteration)
    let reusedFeatures = try reuseFeatures(request, in: session)
    try cancellation.check()
    let job = try MLImageClassifier.resume(session)
    cancellation.set(job: job)
    let classifier = try await result(of: job, request: request, observer: observer)
    return TrainingOutcome(
        classifier: classifier,
        observer: observer,
        seconds: observer.elapsed(),
        resumedPhase: resumedPhase,
        resumedIteration: resumedIteration,
        reusedFeatures: reusedFeatures
    )
}

/// Gives a new session the features of the finished one that the request names; returns whether it did.
private func reuseFeatures(_ request: Request, in session: MLTrainingSession<MLImageClassifier>) throws -> Bool {
    guard let reused = request.reusedSession, session.checkpoints.isEmpty else { return false }
    try session.reuseExtractedFeatures(
        from: MLImageClassifier.restoreTrainingSession(
            sessionParameters: request.sessionParameters(directory: reused)))
    return true
}

private func result(
    of job: MLJob<MLImageClassifier>, request: Request, observer: TrainingObserver
) async throws -> MLImageClassifier {
    let phases = job.phase.sink { observer.note(phase: $0) }
    let checkpoints = job.checkpoints.sink { checkpoint in
        saveState(phase: checkpoint.phase, iteration: checkpoint.iteration, to: request.sessionState)
    }
    let observation = observe(job.progress) { observer.note(progress: $0) }
    defer {
        observation.cancel()
        phases.cancel()
        checkpoints.cancel()
    }
    for try await classifier in job.result.values {
        observer.note(progress: job.progress)
        return classifier
    }
    throw WorkerError.training("Create ML ended the training without a classifier and without an error.")
}

/// Notes how far a session is. It is shown to the user; the session itself is in Create ML's own files.
private func saveState(phase: MLPhase, iteration: Int, to path: String) {
    let state: [String: Any] = ["phase": name(of: phase), "iteration": iteration]
    guard let data = try? JSONSerialization.data(withJSONObject: state, options: [.sortedKeys]) else { return }
    // Without it the run can still be finished, only not resumed; a full disk shows elsewhere.
    try? data.write(to: URL(fileURLWithPath: path), options: .atomic)
}
