import Foundation

/// All that a session has computed: what a checkpoint saves.
struct SessionState: Codable {
    var phase = MLPhase.initialized
    var iteration = 0
    var images: [Image] = []
    var parameters: [String: String] = [:]
    /// One for each image that was extracted, in the order of `images`.
    var features: [Colour] = []
    var centres: [String: Colour] = [:]
}

/// The files of a session: one for each checkpoint, the last of which holds the state.
struct SessionFiles {
    let directory: URL?

    var checkpoints: [MLCheckpoint] {
        guard let directory,
            let names = try? FileManager.default.contentsOfDirectory(atPath: directory.path)
        else { return [] }
        return names.filter { $0.hasSuffix(".checkpoint") }.sorted().map { name in
            let parts = name.split(separator: "-")
            let phase = parts[1] == "extract" ? MLPhase.extractingFeatures : .training
            let iteration = Int(parts[2].prefix { $0.isNumber }) ?? 0
            return MLCheckpoint(
                url: directory.appendingPathComponent(name), phase: phase, iteration: iteration, date: Date())
        }
    }

    func load() throws -> SessionState? {
        try checkpoints.last.map { try JSONDecoder().decode(SessionState.self, from: Data(contentsOf: $0.url)) }
    }

    func save(_ state: SessionState) throws -> MLCheckpoint {
        guard let directory else { throw MLCreateError.io(reason: "The session has no directory.") }
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let isExtracting = state.phase == .extractingFeatures
        let number = String(format: "%06d", state.iteration)
        let name = "\(isExtracting ? "1-extract" : "2-train")-\(number).checkpoint"
        let url = directory.appendingPathComponent(name)
        try JSONEncoder().encode(state).write(to: url, options: .atomic)
        return MLCheckpoint(url: url, phase: state.phase, iteration: state.iteration, date: Date())
    }
}

extension MLImageClassifier {
    public static func makeTrainingSession(
        trainingData: DataSource, parameters: ModelParameters,
        sessionParameters: MLTrainingSessionParameters = MLTrainingSessionParameters()
    ) throws -> MLTrainingSession<MLImageClassifier> {
        try Misbehaviour.meet("make")
        let data = try TrainingData(trainingData, parameters)
        let images = data.images.map(\.image)
        guard let state = try SessionFiles(directory: sessionParameters.sessionDirectory).load() else {
            let state = SessionState(images: images, parameters: data.parameters)
            return MLTrainingSession(parameters: sessionParameters, state: state, data: data)
        }
        guard state.images == images else { throw MLCreateError.modifiedTrainingData }
        for (name, value) in data.parameters.sorted(by: { $0.key < $1.key }) where state.parameters[name] != value {
            throw MLCreateError.incompatibleParameters(
                parameter: name, originalValue: state.parameters[name] ?? "", newValue: value)
        }
        return MLTrainingSession(parameters: sessionParameters, state: state, data: data)
    }

    public static func restoreTrainingSession(
        sessionParameters: MLTrainingSessionParameters
    ) throws -> MLTrainingSession<MLImageClassifier> {
        guard let state = try SessionFiles(directory: sessionParameters.sessionDirectory).load() else {
            throw MLCreateError.io(reason: "There is no session in that directory.")
        }
        return MLTrainingSession(parameters: sessionParameters, state: state, data: nil)
    }
}
