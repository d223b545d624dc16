// Compiles, loads and times one Core ML model on one choice of compute units. No argument handling and no process in
// here, so that a command line and an app can share it.
//
// Sources: Apple's documentation of MLModel, MLModelConfiguration, MLMultiArray, MLFeatureValue and MLComputePlan.
// macOS 14 or iOS 17 or later; the plan of the operations needs macOS 14.4 or iOS 17.4.
import CoreML
import Foundation

private let computeUnits: [String: MLComputeUnits] = [
    "CPU_ONLY": .cpuOnly, "CPU_AND_GPU": .cpuAndGPU, "CPU_AND_NE": .cpuAndNeuralEngine, "ALL": .all,
]
private let heartbeatNanoseconds: UInt64 = 1_000_000_000
private let sustainedBlocks = 60.0

/// Does what a request asks for, and writes result.json last.
func perform(
    _ request: Request, base: URL, folder: URL, progress: @escaping (Step) -> Void
) async throws {
    let file = folder.appendingPathComponent("result.json")
    switch request.task {
    case .compile: try writeJSON(try await compile(request, base, progress), file)
    case .plan: try writeJSON(try await plan(request, base, progress), file)
    case .time: try writeJSON(try await time(request, base, folder, progress), file)
    }
}

func writeJSON(_ value: some Encodable, _ file: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    try encoder.encode(value).write(to: file, options: .atomic)
}

func configuration(_ request: Request) throws -> MLModelConfiguration {
    guard let units = computeUnits[request.unit] else {
        let known = computeUnits.keys.sorted().joined(separator: ", ")
        throw RunnerError.request("There are no compute units '\(request.unit)'; there are \(known).")
    }
    let devices = MLModel.availableComputeDevices.map(deviceName)
    guard request.unit != "CPU_AND_NE" || devices.isEmpty || devices.contains("NE") else {
        throw RunnerError(
            type: "NoSuchUnitError",
            message: "Core ML lists no Neural Engine among the devices of this machine, as in most virtual machines.")
    }
    let configuration = MLModelConfiguration()
    configuration.computeUnits = units
    return configuration
}

func compiledModel(_ request: Request, _ base: URL) throws -> URL {
    let url = resolved(request.compiled, base)
    guard url.pathExtension == "mlmodelc", FileManager.default.fileExists(atPath: url.path) else {
        throw RunnerError.request("There is no compiled model '\(url.lastPathComponent)'.")
    }
    return url
}

/// Compiles a model and moves it to where it is kept; moving is not timed.
private func compile(_ request: Request, _ base: URL, _ progress: (Step) -> Void) async throws -> Compiled {
    let files = FileManager.default
    let (model, kept) = (resolved(request.model, base), resolved(request.compiled, base))
    guard files.fileExists(atPath: model.path) else {
        throw RunnerError.request("There is no model '\(model.lastPathComponent)'.")
    }
    progress(Step(phase: "compile", done: 0, total: 1, message: "compiling '\(model.lastPathComponent)'"))
    let began = now()
    let temporary: URL
    do { temporary = try await MLModel.compileModel(at: model) } catch {
        throw RunnerError.coreML("ModelLoadError", "compile '\(model.lastPathComponent)'", error)
    }
    let took = seconds(since: began)
    // It is in a temporary folder, perhaps on another volume: a model that was moved halfway must not be found.
    let arriving = kept.appendingPathExtension("partial")
    try? files.removeItem(at: arriving)
    try? files.removeItem(at: kept)
    try files.createDirectory(at: kept.deletingLastPathComponent(), withIntermediateDirectories: true)
    try files.moveItem(at: temporary, to: arriving)
    try files.moveItem(at: arriving, to: kept)
    return Compiled(compileSeconds: took, runtimeVersion: runtimeVersion(), standIn: isStandIn)
}

/// A model that is used on one thread after the other.
private struct Loaded: @unchecked Sendable {
    let model: MLModel
    let samples: [MLDictionaryFeatureProvider]
}

private func load(
    _ url: URL, _ unit: String, _ configuration: MLModelConfiguration
) async throws -> (MLModel, Double) {
    let began = now()
    do {
        let model = try await MLModel.load(contentsOf: url, configuration: configuration)
        return (model, seconds(since: began))
    } catch {
        throw RunnerError.coreML("ModelLoadError", "load '\(url.lastPathComponent)' for \(unit)", error)
    }
}

/// Calls the model, one sample after the other, until `calls` calls are made and `length` seconds have passed since
/// `began`. Between the two readings of the clock there is nothing but the call: that its outputs are released and the
/// pool is drained comes after the second one.
///
/// Not asynchronous on purpose: in an asynchronous function `prediction(from:)` is another method, which awaits.
private func predict(
    _ loaded: Loaded, calls: Int, length: Double, began: UInt64, _ heartbeat: (Int) -> Void
) throws -> (samples: Samples, end: UInt64) {
    let (model, inputs) = (loaded.model, loaded.samples)
    let samples = Samples(capacity: min(max(calls, 1 << 16), 1 << 20))
    let ending = began + UInt64(length * 1e9)
    var time = now()
    var (reported, next) = (time, 0)
    while samples.count < calls || time < ending {
        samples.reserve()
        let input = inputs[next]
        next = next + 1 == inputs.count ? 0 : next + 1
        try pooled {
            let before = now()
            let outputs = try model.prediction(from: input)
            let after = now()
            withExtendedLifetime(outputs) {}
            samples.append(after - before)
            time = after
        }
        if time - reported >= heartbeatNanoseconds {
            reported = time
            heartbeat(samples.count)
        }
    }
    return (samples, time)
}

/// Runs the body on a thread of its own with the priority of work that a person waits for: not on a shared thread
/// whose priority, and so whose kind of core, is somebody else's choice.
private func onThread<T>(_ body: @escaping () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
        let thread = Thread { continuation.resume(with: Swift.Result { try body() }) }
        thread.name = "coremlbench"
        thread.qualityOfService = .userInteractive
        thread.stackSize = 8 << 20
        thread.start()
    }
}

/// Calls without a pause for `length` seconds; a point for each block of a second or longer.
private func sustain(_ loaded: Loaded, _ length: Double, _ progress: (Step) -> Void) throws -> [Timed.Point] {
    let blocks = Int(max(1, min(sustainedBlocks, length.rounded(.down))))
    let began = now()
    var points: [Timed.Point] = []
    for number in 1...blocks {
        let ending = length * Double(number) / Double(blocks)
        // One call took longer than a whole block.
        if Double(now() - began) / 1e9 >= ending { continue }
        let block = try predict(loaded, calls: 1, length: ending, began: began) { _ in
            progress(Step(phase: "sustain", done: Int(seconds(since: began)), total: Int(length)))
        }
        points.append(
            Timed.Point(
                seconds: Double(block.end - began) / 1e9, p50: block.samples.quantile(0.5),
                p95: block.samples.quantile(0.95), calls: block.samples.count, thermalState: thermalState()))
        progress(Step(phase: "sustain", done: Int(ending), total: Int(length)))
    }
    return points
}

/// What the thread of the calls returns.
private struct Calls {
    let first: UInt64
    let outputs: OutputValues
    let warmup: Samples
    let warmupSeconds: Double
    let timed: Samples
    let footprint: UInt64?
    let sustained: [Timed.Point]
}

private func call(_ request: Request, _ loaded: Loaded, _ progress: (Step) -> Void) throws -> Calls {
    do {
        progress(Step(phase: "first predict", done: 0, total: 1, message: "first prediction on \(request.unit)"))
        let first = try predict(loaded, calls: 1, length: 0, began: now()) { _ in }
        let footprint = peakFootprint()
        var outputs = OutputValues()
        for (index, sample) in loaded.samples.enumerated() {
            progress(Step(phase: "check outputs", done: index, total: loaded.samples.count))
            try pooled { outputs.add(try loaded.model.prediction(from: sample)) }
        }
        progress(Step(phase: "time", done: 0, total: request.calls, message: "warming up, then timing"))
        let heartbeat: (Int) -> Void = { progress(Step(phase: "time", done: $0, total: 0, message: "timing")) }
        let began = now()
        let warmup = try predict(
            loaded, calls: request.warmupCalls, length: request.warmupSeconds, began: began, heartbeat)
        let timed = try predict(loaded, calls: request.calls, length: request.seconds, began: now(), heartbeat)
        return Calls(
            first: first.samples.percentile(100), outputs: outputs, warmup: warmup.samples,
            warmupSeconds: Double(warmup.end - began) / 1e9, timed: timed.samples, footprint: footprint,
            sustained: try request.sustainSeconds.map { try sustain(loaded, $0, progress) } ?? [])
    } catch {
        throw RunnerError.coreML("PredictionError", "predict on \(request.unit)", error)
    }
}

private func time(
    _ request: Request, _ base: URL, _ folder: URL, _ progress: @escaping (Step) -> Void
) async throws -> Timed {
    guard request.calls > 0, request.warmupCalls >= 0, request.samples > 0,
        [request.seconds, request.warmupSeconds, request.sustainSeconds ?? 1].allSatisfy({ (0...864_000).contains($0) })
    else { throw RunnerError.request("A number of calls, samples or seconds is out of range.") }
    let (url, configuration) = (try compiledModel(request, base), try configuration(request))
    let before = conditions()
    progress(Step(phase: "load", done: 0, total: 2, message: "loading '\(url.lastPathComponent)' for \(request.unit)"))
    let firstLoad = try await load(url, request.unit, configuration).1
    progress(Step(phase: "load", done: 1, total: 2, message: "loading it again"))
    let (model, secondLoad) = try await load(url, request.unit, configuration)
    let loaded = Loaded(model: model, samples: try features(request, model.modelDescription, base))
    let calls = try await onThread { try call(request, loaded, progress) }
    let after = conditions()
    try calls.timed.data.write(to: folder.appendingPathComponent("samples.u64"), options: .atomic)
    return Timed(
        calls: calls.timed.count,
        warmupCalls: calls.warmup.count,
        warmupSeconds: calls.warmupSeconds,
        firstLoadSeconds: firstLoad,
        secondLoadSeconds: secondLoad,
        firstPredictSeconds: Double(calls.first) / 1e9,
        p50: calls.timed.percentile(50),
        p95: calls.timed.percentile(95),
        outputs: try calls.outputs.save(folder),
        sustained: calls.sustained,
        devices: MLModel.availableComputeDevices.map(deviceName),
        neuralEngineCores: neuralEngineCores(),
        before: before,
        after: after,
        peakFootprint: calls.footprint,
        runtimeVersion: runtimeVersion(),
        standIn: isStandIn
    )
}
