import Foundation

let stateKey = ProgressUserInfoKey("createml.stand-in")

/// What a job's progress says now. Key-value observation would deliver each state before the next: the stand-in waits
/// until it was read. It is put into the progress once, as that is no place for two threads on Linux.
final class ProgressState: @unchecked Sendable {
    private let lock = NSLock()
    private var current: MLProgress?
    private var wasTaken = false

    /// The state to be read, nil before the first.
    func take() -> MLProgress? {
        lock.lock()
        defer { lock.unlock() }
        wasTaken = true
        return current
    }

    func show(_ state: MLProgress) {
        lock.lock()
        defer { lock.unlock() }
        (current, wasTaken) = (state, false)
    }

    var isTaken: Bool {
        lock.lock()
        defer { lock.unlock() }
        return wasTaken
    }
}

/// Classes by their colours: an image belongs to the class whose centre is nearest.
struct NearestColour {
    let centres: [String: Colour]

    func label(of colour: Colour) -> String {
        centres.min { (distance($0.value, colour), $0.key) < (distance($1.value, colour), $1.key) }?.key ?? ""
    }

    func accuracy(_ samples: [(label: String, colour: Colour)]) -> Double {
        let correct = samples.filter { label(of: $0.colour) == $0.label }.count
        return samples.isEmpty ? 0 : Double(correct) / Double(samples.count)
    }

    private func distance(_ one: Colour, _ other: Colour) -> Double {
        zip(one, other).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
}

extension MLImageClassifier {
    public static func train(
        trainingData: DataSource, parameters: ModelParameters,
        sessionParameters: MLTrainingSessionParameters = MLTrainingSessionParameters()
    ) throws -> MLJob<MLImageClassifier> {
        try resume(
            makeTrainingSession(
                trainingData: trainingData, parameters: parameters, sessionParameters: sessionParameters))
    }

    public static func resume(_ session: MLTrainingSession<MLImageClassifier>) throws -> MLJob<MLImageClassifier> {
        guard let data = session.data else {
            throw MLCreateError.generic(reason: "The session was restored without its training data.")
        }
        let job = MLJob<MLImageClassifier>()
        Thread.detachNewThread {
            do {
                job.results.send(try StandInTraining(session: session, data: data, job: job).run())
                job.results.send(completion: .finished)
            } catch {
                job.results.send(completion: .failure(error))
            }
        }
        return job
    }

    public func predictions(from images: [URL]) throws -> [String] {
        try Misbehaviour.meet("predict")
        return try images.map { colours.label(of: try meanColour(of: $0)) }
    }

    public func write(to fileURL: URL, metadata: MLModelMetadata? = nil) throws {
        try Misbehaviour.meet("write")
        try modelFile(colours, metadata ?? MLModelMetadata()).write(to: fileURL)
    }
}

/// One training: the mean colour of each image, then centres of the classes that come nearer to their means each time.
struct StandInTraining {
    let session: MLTrainingSession<MLImageClassifier>
    let data: TrainingData
    let job: MLJob<MLImageClassifier>

    func run() throws -> MLImageClassifier {
        if session.state.features.count < data.images.count { try extract() }
        let validation = try data.validation.map { (label: $0.label, colour: try meanColour(of: $0.url)) }
        let training = zip(data.images, session.state.features).map { (label: $0.image.label, colour: $1) }
        try moveCentres(training, validation)
        let colours = NearestColour(centres: session.state.centres)
        job.phases.send(.evaluating)
        try report(.evaluating, 1, 1)
        return MLImageClassifier(
            trainingMetrics: MLClassifierMetrics(classificationError: 1 - colours.accuracy(training), isValid: true),
            validationMetrics: MLClassifierMetrics(
                classificationError: 1 - colours.accuracy(validation), isValid: !validation.isEmpty),
            colours: colours
        )
    }

    private func extract() throws {
        job.phases.send(.extractingFeatures)
        session.state.phase = .extractingFeatures
        for number in (session.state.features.count + 1)...data.images.count {
            session.state.features.append(try meanColour(of: data.images[number - 1].url))
            session.state.iteration = number
            try report(.extractingFeatures, number, data.images.count)
            try Misbehaviour.meet("extract", number)
            if number == data.images.count || number.isMultiple(of: session.parameters.checkpointInterval) {
                job.savedCheckpoints.send(try session.files.save(session.state))
            }
        }
    }

    private func moveCentres(
        _ training: [(label: String, colour: Colour)], _ validation: [(label: String, colour: Colour)]
    ) throws {
        job.phases.send(.training)
        let byLabel = Dictionary(grouping: training, by: \.label)
        let means = byLabel.mapValues { samples in
            (0..<3).map { channel in samples.reduce(0) { $0 + $1.colour[channel] } / Double(samples.count) }
        }
        if session.state.centres.isEmpty {
            session.state.iteration = 0
            session.state.centres = means.mapValues { _ in [0.5, 0.5, 0.5] }
        }
        session.state.phase = .training
        let limit = min(data.maxIterations, session.parameters.iterations)
        while session.state.iteration < limit {
            session.state.iteration += 1
            for (label, mean) in means {
                let centre = session.state.centres[label] ?? mean
                session.state.centres[label] = zip(centre, mean).map { $0 + ($1 - $0) / 4 }
            }
            let colours = NearestColour(centres: session.state.centres)
            let scale = Misbehaviour.holds("percent") ? 100.0 : 1
            var metrics: [MLProgress.Metric: Any] = [.accuracy: scale * colours.accuracy(training)]
            if !validation.isEmpty { metrics[.validationAccuracy] = scale * colours.accuracy(validation) }
            if !Misbehaviour.holds("silent") { try report(.training, session.state.iteration, nil, metrics) }
            try Misbehaviour.meet("train", session.state.iteration)
            if session.state.iteration == limit
                || session.state.iteration.isMultiple(of: session.parameters.checkpointInterval)
            {
                job.savedCheckpoints.send(try session.files.save(session.state))
            }
        }
    }

    /// Shows a state, and waits until it was read.
    private func report(
        _ phase: MLPhase, _ count: Int, _ total: Int?, _ metrics: [MLProgress.Metric: Any] = [:]
    ) throws {
        var progress = MLProgress(phase: phase)
        (progress.itemCount, progress.totalItemCount, progress.metrics) = (count, total, metrics)
        job.state.show(progress)
        while !job.state.isTaken {
            if job.isCanceled { throw MLCreateError.cancelled }
            usleep(200)
        }
        if Misbehaviour.holds("slow") { usleep(20_000) }
        if job.isCanceled { throw MLCreateError.cancelled }
    }
}
