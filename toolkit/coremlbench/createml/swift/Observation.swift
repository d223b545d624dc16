import CreateML
import Foundation

/// The name of a phase in progress lines and results.
func name(of phase: MLPhase) -> String {
    switch phase {
    case .initialized: return "start"
    case .extractingFeatures: return "extract"
    case .training: return "train"
    case .evaluating: return "evaluate"
    case .inferencing: return "predict"
    @unknown default: return "other"
    }
}

/// Records when each phase of a training began and the metrics of each iteration, and reports both.
final class TrainingObserver: @unchecked Sendable {
    struct Iteration {
        let number: Int
        let secondsSinceStart: Double
        let metrics: [MLProgress.Metric: Double]
    }

    private let channel: ProgressChannel
    private let iterationLimit: Int
    private let started = Date()
    private let lock = NSLock()
    private var beginnings: [String: Double] = [:]
    private var iterations: [Int: Iteration] = [:]

    init(channel: ProgressChannel, iterationLimit: Int) {
        (self.channel, self.iterationLimit) = (channel, iterationLimit)
    }

    /// Seconds from the observer's creation to the beginning of each phase.
    var phaseBeginnings: [String: Double] { locked { beginnings } }

    /// The iterations that Create ML reported, in order.
    var reportedIterations: [Iteration] { locked { iterations.values.sorted { $0.number < $1.number } } }

    func elapsed() -> Double { Date().timeIntervalSince(started) }

    func note(phase: MLPhase) {
        let phase = name(of: phase)
        locked { if beginnings[phase] == nil { beginnings[phase] = elapsed() } }
    }

    /// Takes over what a job's progress says now.
    func note(progress: Progress) {
        guard let current = MLProgress(progress: progress) else { return }
        note(phase: current.phase)
        var figures: [String: Double] = [:]
        if current.phase == .training {
            let metrics = current.metrics.compactMapValues(number)
            let isNew = locked { () -> Bool in
                let isNew = current.itemCount > 0 && iterations[current.itemCount] == nil
                guard isNew, !metrics.isEmpty else { return false }
                iterations[current.itemCount] = Iteration(
                    number: current.itemCount, secondsSinceStart: elapsed(), metrics: metrics)
                return true
            }
            if isNew { figures = displayedFigures(metrics) }
        }
        let total = current.totalItemCount ?? (current.phase == .training ? iterationLimit : 0)
        channel.report(name(of: current.phase), current.itemCount, total, figures: figures)
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }
}

/// Calls `handler` at each change of a job's progress, until the result is cancelled.
///
/// Key-value observation is synchronous, so that it misses no change. Linux has none: there the progress is polled.
func observe(_ progress: Progress, _ handler: @escaping @Sendable (Progress) -> Void) -> ProgressObservation {
    #if canImport(ObjectiveC)
        let observation = progress.observe(\.fractionCompleted, options: [.initial, .new]) { progress, _ in
            handler(progress)
        }
        return ProgressObservation { observation.invalidate() }
    #else
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "progress"))
        timer.schedule(deadline: .now(), repeating: .milliseconds(1))
        timer.setEventHandler { handler(progress) }
        timer.resume()
        return ProgressObservation { timer.cancel() }
    #endif
}

/// An observation that lasts until it is cancelled.
struct ProgressObservation {
    let cancel: () -> Void
}

private let accuracyNames: [MLProgress.Metric: String] = [
    .accuracy: "training_accuracy", .validationAccuracy: "validation_accuracy",
]

private func displayedFigures(_ metrics: [MLProgress.Metric: Double]) -> [String: Double] {
    Dictionary(
        uniqueKeysWithValues: metrics.compactMap { metric, value in accuracyNames[metric].map { ($0, share(value)) } })
}

/// An accuracy as a share of 1. Apple does not document whether progress has shares or percentages.
func share(_ accuracy: Double) -> Double { accuracy > 1 ? accuracy / 100 : accuracy }

private func number(_ value: Any) -> Double? {
    switch value {
    case let value as Double: return value.isFinite ? value : nil
    case let value as Float: return value.isFinite ? Double(value) : nil
    case let value as Int: return Double(value)
    case let value as NSNumber: return value.doubleValue
    default: return nil
    }
}
