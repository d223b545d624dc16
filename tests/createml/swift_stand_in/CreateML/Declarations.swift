// Stands in for Apple's Create ML on Linux: the declarations that Create ML's program names, as Apple documents them.
// What they do is in the other files, and is not what Create ML does.
import Combine
import Foundation

public enum MLSplitStrategy {
    case automatic
    case fixed(ratio: Double, seed: Int? = nil)
}

public enum MLPhase: String, Hashable, Codable, Sendable {
    case initialized, extractingFeatures, training, evaluating, inferencing
}

public struct MLProgress {
    public enum Metric: String, Hashable, Codable, CaseIterable, Sendable {
        case accuracy, contentLoss, loss, maximumError, rootMeanSquaredError, styleLoss, stylizedImageURL
        case validationAccuracy, validationLoss, validationMaximumError, validationRootMeanSquaredError
    }

    public var phase: MLPhase
    public var itemCount = 0
    public var totalItemCount: Int?
    public var elapsedTime: TimeInterval = 0
    public var metrics: [Metric: Any] = [:]

    public init?(progress: Progress) {
        guard let current = (progress.userInfo[stateKey] as? ProgressState)?.take() else { return nil }
        self = current
    }

    init(phase: MLPhase) { self.phase = phase }
}

public enum MLCreateError: Error {
    case cancelled
    case incompatibleParameters(parameter: String, originalValue: String, newValue: String)
    case modifiedTrainingData
    case io(reason: String)
    case type(reason: String)
    case generic(reason: String)
}

public struct MLTrainingSessionParameters {
    public var sessionDirectory: URL?
    public var reportInterval: Int
    public var checkpointInterval: Int
    public var iterations: Int

    public init(
        sessionDirectory: URL? = nil, reportInterval: Int = 5, checkpointInterval: Int = 10, iterations: Int = 1000
    ) {
        (self.sessionDirectory, self.reportInterval) = (sessionDirectory, reportInterval)
        (self.checkpointInterval, self.iterations) = (checkpointInterval, iterations)
    }
}

public struct MLCheckpoint {
    public let url: URL
    public let phase: MLPhase
    public let iteration: Int
    public let date: Date
    public var metrics: [MLProgress.Metric: Any] = [:]
}

public struct MLClassifierMetrics {
    public var classificationError: Double
    public var isValid: Bool
    public var error: (any Error)?
}

public struct MLModelMetadata {
    public var author: String
    public var shortDescription: String
    public var license: String?
    public var version: String
    public var additional: [String: String]?

    public init(
        author: String = "", shortDescription: String = "", license: String? = nil, version: String = "1.0",
        additional: [String: String]? = nil
    ) {
        (self.author, self.shortDescription, self.license) = (author, shortDescription, license)
        (self.version, self.additional) = (version, additional)
    }
}

public final class MLTrainingSession<Task>: @unchecked Sendable {
    public let parameters: MLTrainingSessionParameters
    public var phase: MLPhase { state.phase }
    public var iteration: Int { state.iteration }
    public var checkpoints: [MLCheckpoint] { files.checkpoints }
    var state: SessionState
    let files: SessionFiles
    let data: TrainingData?

    init(parameters: MLTrainingSessionParameters, state: SessionState, data: TrainingData?) {
        (self.parameters, self.state, self.data) = (parameters, state, data)
        files = SessionFiles(directory: parameters.sessionDirectory)
    }

    public func reuseExtractedFeatures(from session: MLTrainingSession<Task>) throws {
        guard checkpoints.isEmpty else {
            throw MLCreateError.generic(reason: "The session already has a checkpoint.")
        }
        guard session.state.features.count == state.images.count else {
            throw MLCreateError.generic(reason: "The other session has not extracted all features.")
        }
        (state.features, state.phase) = (session.state.features, .training)
    }
}

public final class MLJob<Result>: @unchecked Sendable {
    public let progress = Progress(totalUnitCount: 100)
    public let startDate = Date()
    public private(set) var isCanceled = false
    let state = ProgressState()
    let results = StandInSubject<Result, any Error>(replays: true)
    let phases = StandInSubject<MLPhase, Never>(replays: true)
    let savedCheckpoints = StandInSubject<MLCheckpoint, Never>(replays: false)

    public var result: AnyPublisher<Result, any Error> { results.eraseToAnyPublisher() }
    public var phase: AnyPublisher<MLPhase, Never> { phases.eraseToAnyPublisher() }
    public var checkpoints: AnyPublisher<MLCheckpoint, Never> { savedCheckpoints.eraseToAnyPublisher() }

    public func cancel() { isCanceled = true }

    init() { progress.setUserInfoObject(state, forKey: stateKey) }
}

public struct MLImageClassifier {
    public enum DataSource {
        case labeledDirectories(at: URL)
        case labeledFiles(at: URL)
        case filesByLabel([String: [URL]])
    }

    public struct ImageAugmentationOptions: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        public static let blur = Self(rawValue: 1)
        public static let crop = Self(rawValue: 2)
        public static let exposure = Self(rawValue: 4)
        public static let flip = Self(rawValue: 8)
        public static let noise = Self(rawValue: 16)
        public static let rotation = Self(rawValue: 32)
    }

    public enum FeatureExtractorType {
        case scenePrint(revision: Int?)
    }

    public struct ModelParameters {
        public enum ValidationData {
            case split(strategy: MLSplitStrategy)
            case dataSource(DataSource)
            case none
        }

        public enum ClassifierType {
            case logisticRegressor
            case multilayerPerceptron(layerSizes: [Int])
        }

        public enum ModelAlgorithmType {
            case transferLearning(featureExtractor: FeatureExtractorType, classifier: ClassifierType)
        }

        let validation: ValidationData
        let maxIterations: Int
        let augmentation: ImageAugmentationOptions
        let algorithm: ModelAlgorithmType

        public init(
            validation: ValidationData, maxIterations: Int = 25, augmentation: ImageAugmentationOptions = [],
            algorithm: ModelAlgorithmType
        ) {
            (self.validation, self.maxIterations) = (validation, maxIterations)
            (self.augmentation, self.algorithm) = (augmentation, algorithm)
        }
    }

    public let trainingMetrics: MLClassifierMetrics
    public let validationMetrics: MLClassifierMetrics
    let colours: NearestColour
}
