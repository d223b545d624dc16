import CreateML
import Foundation

#if os(macOS)
    private let isStandIn = false
#else
    /// Create ML is a part of macOS: elsewhere this program can only have been compiled against a stand-in.
    private let isStandIn = true
#endif

private let chunkSize = 32

/// Predicts the test images; returns the index of the predicted class of each.
func predict(
    _ request: Request, with classifier: MLImageClassifier, channel: ProgressChannel, cancellation: Cancellation
) throws -> [Int] {
    // Swift compares strings by canonical equivalence, so that a file system that decomposes names does no harm.
    let indices = Dictionary(uniqueKeysWithValues: request.classes.enumerated().map { ($1, $0) })
    var predicted: [Int] = []
    channel.report("evaluate", 0, request.test.count)
    for first in stride(from: 0, to: request.test.count, by: chunkSize) {
        try cancellation.check()
        let chunk = request.test[first..<min(first + chunkSize, request.test.count)]
        let labels = try classifier.predictions(from: chunk.map { URL(fileURLWithPath: $0.path) })
        guard labels.count == chunk.count else {
            throw WorkerError.training("Create ML predicted \(labels.count) classes for \(chunk.count) images.")
        }
        for label in labels {
            guard let index = indices[label] else {
                throw WorkerError.training("Create ML predicted the class \(label), which no training image has.")
            }
            predicted.append(index)
        }
        channel.report("evaluate", predicted.count, request.test.count)
    }
    return predicted
}

/// Saves the classifier as the model file of the request.
func save(_ classifier: MLImageClassifier, _ request: Request, predicted: [Int]) throws {
    var metadata = request.metadata
    let correct = zip(predicted, request.test).filter { $0 == $1.label }.count
    let accuracy = predicted.isEmpty ? 0 : Double(correct) / Double(predicted.count)
    metadata["test accuracy"] = String(format: "%.4f", accuracy)
    try classifier.write(
        to: URL(fileURLWithPath: request.model),
        metadata: MLModelMetadata(
            author: "coremlbench",
            shortDescription: request.description,
            license: nil,
            version: "1.0",
            additional: metadata
        )
    )
}

/// The seconds of the test and of saving the model.
struct Timings {
    let evaluate: Double
    let save: Double
}

/// The content of `result.json`.
func resultContent(_ outcome: TrainingOutcome, predicted: [Int], timings: Timings) -> [String: Any] {
    var seconds = trainingSeconds(outcome)
    seconds["evaluate"] = timings.evaluate
    seconds["export"] = timings.save
    let trainBegan = outcome.observer.phaseBeginnings["train"] ?? 0
    let iterations = outcome.observer.reportedIterations
    // A percentage shows by a value above 1 in any iteration: a share never is.
    let scale = iterations.flatMap { accuracies($0) }.contains { $0 > 1 } ? 100.0 : 1
    return [
        "stand_in": isStandIn,
        "predicted": predicted,
        "training_accuracy": accuracy(outcome.classifier.trainingMetrics) ?? NSNull(),
        "validation_accuracy": accuracy(outcome.classifier.validationMetrics) ?? NSNull(),
        "iterations": iterations.map { row($0, trainBegan: trainBegan, scale: scale) },
        "seconds": seconds,
        "resumed_phase": name(of: outcome.resumedPhase),
        "resumed_iteration": outcome.resumedIteration,
        "reused_features": outcome.reusedFeatures,
        "versions": ["createml system": ProcessInfo.processInfo.operatingSystemVersionString],
    ]
}

/// The seconds of the extraction and of the training; a phase that did not take place has none.
///
/// What Create ML evaluates itself belongs to the training: it is the training and validation accuracy.
private func trainingSeconds(_ outcome: TrainingOutcome) -> [String: Double] {
    let beginnings = outcome.observer.phaseBeginnings
    let trainBegan = beginnings["train"]
    var seconds = ["train": outcome.seconds - (trainBegan ?? 0)]
    if let extractBegan = beginnings["extract"] {
        seconds["extract"] = (trainBegan ?? outcome.seconds) - extractBegan
        seconds["train"] = trainBegan.map { outcome.seconds - $0 } ?? 0
    }
    return seconds
}

private func accuracies(_ iteration: TrainingObserver.Iteration) -> [Double] {
    [iteration.metrics[.accuracy], iteration.metrics[.validationAccuracy]].compactMap { $0 }
}

private func row(_ iteration: TrainingObserver.Iteration, trainBegan: Double, scale: Double) -> [String: Any] {
    [
        "iteration": iteration.number,
        "seconds": iteration.secondsSinceStart - trainBegan,
        "training_accuracy": iteration.metrics[.accuracy].map { $0 / scale } ?? NSNull(),
        "validation_accuracy": iteration.metrics[.validationAccuracy].map { $0 / scale } ?? NSNull(),
    ]
}

private func accuracy(_ metrics: MLClassifierMetrics) -> Double? {
    metrics.isValid && metrics.error == nil ? 1 - metrics.classificationError : nil
}
