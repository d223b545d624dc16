import Foundation

/// The result of the task `compile`.
struct Compiled: Codable {
    var compileSeconds: Double
    var runtimeVersion: String
    var standIn: Bool
}

/// The result of the task `plan`.
struct Planned: Codable {
    struct Operation: Codable {
        var name: String
        var kind: String
        /// The device that Core ML prefers: CPU, GPU or NE; nil where it names none.
        var device: String?
        var cost: Double?
    }

    var operations: [Operation]
    /// Why there is no plan, "" where there is one.
    var failure: String
    var standIn: Bool
}

/// The result of the task `time`. The nanoseconds of every timed call are in samples.u64.
struct Timed: Codable {
    struct Output: Codable {
        var name: String
        /// The values of all samples, little-endian float64; nil: they are neither numbers nor probabilities.
        var file: String?
    }

    struct Point: Codable {
        var seconds: Double
        var p50: Double
        var p95: Double
        var calls: Int
        var thermalState: String?
    }

    struct Conditions: Codable {
        var thermalState: String?
        var lowPowerMode: Bool?
    }

    var calls: Int
    var warmupCalls: Int
    var warmupSeconds: Double
    var firstLoadSeconds: Double
    var secondLoadSeconds: Double
    var firstPredictSeconds: Double
    /// Nanoseconds; each is a time that was measured.
    var p50: UInt64
    var p95: UInt64
    var outputs: [Output]
    var sustained: [Point]
    var devices: [String]
    var neuralEngineCores: Int?
    var before: Conditions
    var after: Conditions
    /// The highest footprint of the process, in bytes, without what the outputs need that are kept.
    var peakFootprint: UInt64?
    var runtimeVersion: String
    var standIn: Bool
}
