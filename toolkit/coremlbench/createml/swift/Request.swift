import CreateML
import Foundation

/// The content of `request.json`.
struct Request: Decodable {
    /// A folder of images in one subfolder for each class.
    struct LabelledFolder: Decodable {
        let path: String
        let images: Int

        var source: MLImageClassifier.DataSource { .labeledDirectories(at: URL(fileURLWithPath: path)) }

        /// Checks that Create ML finds all images of the folder: it leaves out files that it does not take for images.
        func check(_ use: String) throws {
            let seen = try source.labeledImages().values.reduce(0) { $0 + $1.count }
            guard seen == images else {
                throw WorkerError.data("Create ML finds \(seen) of the \(images) \(use) images in \(path).")
            }
        }
    }

    /// An image of the test set and the index of its class.
    struct TestImage: Decodable {
        let path: String
        let label: Int
    }

    let classes: [String]
    let training: LabelledFolder
    /// Nil: no validation.
    let validation: LabelledFolder?
    let test: [TestImage]
    let augmentation: [String]
    let featureRevision: Int
    let iterations: Int
    /// The folder of the session: empty for a new run, that of an interrupted run to continue it.
    let session: String
    /// A file that says after each checkpoint how far the session is.
    let sessionState: String
    /// The folder of a finished session with the same images, whose features are to be used.
    let reusedSession: String?
    let model: String
    let description: String
    let metadata: [String: String]

    static func read(from folder: URL) throws -> Request {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Request.self, from: Data(contentsOf: folder.appendingPathComponent("request.json")))
    }

    func modelParameters() throws -> MLImageClassifier.ModelParameters {
        MLImageClassifier.ModelParameters(
            validation: validation.map { .dataSource($0.source) } ?? .none,
            maxIterations: iterations,
            augmentation: try augmentationOptions(),
            algorithm: .transferLearning(
                featureExtractor: .scenePrint(revision: featureRevision),
                classifier: .logisticRegressor
            )
        )
    }

    /// `iterations` of a session is a second limit beside `maxIterations`. It stays at its default where it can, because
    /// Apple does not document whether it also counts the steps of the extraction.
    func sessionParameters(directory: String? = nil) -> MLTrainingSessionParameters {
        MLTrainingSessionParameters(
            sessionDirectory: URL(fileURLWithPath: directory ?? session),
            reportInterval: 1,
            checkpointInterval: 5,
            iterations: max(1000, iterations)
        )
    }

    private func augmentationOptions() throws -> MLImageClassifier.ImageAugmentationOptions {
        var options: MLImageClassifier.ImageAugmentationOptions = []
        for name in augmentation {
            guard let option = augmentationsByName[name] else {
                throw WorkerError.request("Create ML has no augmentation \(name).")
            }
            options.insert(option)
        }
        return options
    }
}

private let augmentationsByName: [String: MLImageClassifier.ImageAugmentationOptions] = [
    "crop": .crop, "rotation": .rotation, "blur": .blur, "exposure": .exposure, "noise": .noise, "flip": .flip,
]
