// A stand-in for Apple's CoreML where there is none: only what the native runner names, with Apple's declarations (a constant
// where Apple has a property that can only be read). The bodies pretend.
//
// A "model" is a folder with stub.json: {"inputs": [FEATURE], "outputs": [FEATURE], "milliseconds": 1}, a FEATURE
// {"name", "dataType", "shape", "strides", "factor"}; without dataType it is an image. Element i of an output is its
// factor times the sum of the inputs' elements i (modulo their length); an image's elements are its B, G, R, A bytes.
//
// COREML_STAND_IN=fail|crash|hang|slow|wrong misbehaves at predictions, fail-load|crash-load|hang-load at loads;
// with COREML_STAND_IN_ONLY=TEXT only in a process that has TEXT in its arguments.
import Foundation

#if canImport(CoreVideo)
    import CoreVideo
#endif

// MARK: - Values

public enum MLMultiArrayDataType: Int, Sendable {
    case double = 0x10040
    case float32 = 0x10020
    case float16 = 0x10010
    case int32 = 0x20020
    case int8 = 0x20008

    public static var float64: MLMultiArrayDataType { .double }
    public static var float: MLMultiArrayDataType { .float32 }
}

public enum MLFeatureType: Int, Sendable {
    case invalid = 0
    case int64 = 1
    case double = 2
    case string = 3
    case image = 4
    case multiArray = 5
    case dictionary = 6
    case sequence = 7
    case state = 8
}

open class MLMultiArray: NSObject {
    public let shape: [NSNumber]
    public let dataType: MLMultiArrayDataType
    public let strides: [NSNumber]
    private let storage: UnsafeMutableRawBufferPointer

    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {
        (self.shape, self.dataType) = (shape, dataType)
        (strides, storage) = MLMultiArray.layout(shape.map(\.intValue), dataType, nil)
    }

    init(_ shape: [Int], _ dataType: MLMultiArrayDataType, strides: [Int]?) {
        (self.shape, self.dataType) = (shape.map { NSNumber(value: $0) }, dataType)
        (self.strides, storage) = MLMultiArray.layout(shape, dataType, strides)
    }

    private static func layout(
        _ shape: [Int], _ dataType: MLMultiArrayDataType, _ given: [Int]?
    ) -> ([NSNumber], UnsafeMutableRawBufferPointer) {
        var contiguous = [Int](repeating: 1, count: shape.count)
        for axis in stride(from: shape.count - 2, through: 0, by: -1) {
            contiguous[axis] = contiguous[axis + 1] * shape[axis + 1]
        }
        let strides = given ?? contiguous
        let last = zip(shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
        let bytes = (last + 1) * (dataType.rawValue & 0xFF) / 8
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 64)
        // Memory that was never set does not read as zeros.
        storage.initializeMemory(as: UInt8.self, repeating: 0x7B)
        return (strides.map { NSNumber(value: $0) }, storage)
    }

    deinit { storage.deallocate() }

    public var count: Int { shape.reduce(1) { $0 * $1.intValue } }

    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try body(UnsafeRawBufferPointer(storage))
    }

    public func withUnsafeMutableBytes<R>(
        _ body: (UnsafeMutableRawBufferPointer, [Int]) throws -> R
    ) rethrows -> R {
        try body(storage, strides.map(\.intValue))
    }

    private func offset(_ index: Int) -> Int {
        var (rest, offset) = (index, 0)
        for axis in shape.indices.reversed() {
            offset += rest % shape[axis].intValue * strides[axis].intValue
            rest /= shape[axis].intValue
        }
        return offset
    }

    /// The element at a position in C order.
    subscript(element index: Int) -> Double {
        get {
            let offset = offset(index)
            switch dataType {
            case .double: return storage.load(fromByteOffset: offset * 8, as: Double.self)
            case .float32: return Double(storage.load(fromByteOffset: offset * 4, as: Float.self))
            case .float16: return Double(storage.load(fromByteOffset: offset * 2, as: Float16.self))
            case .int32: return Double(storage.load(fromByteOffset: offset * 4, as: Int32.self))
            case .int8: return Double(storage.load(fromByteOffset: offset, as: Int8.self))
            }
        }
        set {
            let offset = offset(index)
            switch dataType {
            case .double: storage.storeBytes(of: newValue, toByteOffset: offset * 8, as: Double.self)
            case .float32: storage.storeBytes(of: Float(newValue), toByteOffset: offset * 4, as: Float.self)
            case .float16: storage.storeBytes(of: Float16(newValue), toByteOffset: offset * 2, as: Float16.self)
            case .int32: storage.storeBytes(of: Int32(newValue), toByteOffset: offset * 4, as: Int32.self)
            case .int8: storage.storeBytes(of: Int8(newValue), toByteOffset: offset, as: Int8.self)
            }
        }
    }
}

open class MLFeatureValue: NSObject {
    public let type: MLFeatureType
    public let multiArrayValue: MLMultiArray?
    public let int64Value: Int64 = 0
    public let doubleValue: Double = 0
    public private(set) var dictionaryValue: [AnyHashable: NSNumber] = [:]

    /// Values by the position as the class.
    convenience init(classes values: [Double]) {
        self.init(.dictionary, nil)
        let pairs = values.enumerated().map { (AnyHashable("\($0)"), NSNumber(value: $1)) }
        dictionaryValue = Dictionary(uniqueKeysWithValues: pairs)
    }

    init(_ type: MLFeatureType, _ array: MLMultiArray?) { (self.type, multiArrayValue) = (type, array) }

    public convenience init(multiArray value: MLMultiArray) { self.init(.multiArray, value) }

    /// The numbers that the pretended prediction takes from it.
    var elements: [Double] {
        #if canImport(CoreVideo)
            if let imageBufferValue { return imageBufferValue.bytes.map(Double.init) }
        #endif
        guard let multiArrayValue else { return [] }
        return (0..<multiArrayValue.count).map { multiArrayValue[element: $0] }
    }

    #if canImport(CoreVideo)
        public private(set) var imageBufferValue: CVPixelBuffer?

        public convenience init(pixelBuffer value: CVPixelBuffer) {
            self.init(.image, nil)
            imageBufferValue = value
        }
    #endif
}

public protocol MLFeatureProvider: AnyObject {
    var featureNames: Set<String> { get }
    func featureValue(for featureName: String) -> MLFeatureValue?
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public let dictionary: [String: MLFeatureValue]

    public init(dictionary: [String: Any]) throws {
        self.dictionary = try dictionary.mapValues { value in
            guard let value = value as? MLFeatureValue else { throw StubError("only feature values are known here") }
            return value
        }
    }

    public var featureNames: Set<String> { Set(dictionary.keys) }
    public func featureValue(for featureName: String) -> MLFeatureValue? { dictionary[featureName] }
}

// MARK: - Descriptions

open class MLMultiArrayConstraint: NSObject {
    public let shape: [NSNumber]
    public let dataType: MLMultiArrayDataType

    init(_ shape: [Int], _ dataType: MLMultiArrayDataType) {
        self.shape = shape.map { NSNumber(value: $0) }
        self.dataType = dataType
    }
}

#if canImport(CoreVideo)
    open class MLImageConstraint: NSObject {
        public let pixelsHigh: Int
        public let pixelsWide: Int
        public let pixelFormatType: OSType

        init(_ shape: [Int]) {
            (pixelsHigh, pixelsWide) = (shape[0], shape[1])
            pixelFormatType = shape.count == 2 ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        }
    }
#endif

open class MLFeatureDescription: NSObject {
    public let name: String
    public let type: MLFeatureType
    public let isOptional = false
    public let multiArrayConstraint: MLMultiArrayConstraint?
    #if canImport(CoreVideo)
        public let imageConstraint: MLImageConstraint?
    #endif

    init(_ feature: Feature) {
        name = feature.name
        type = feature.dataType == nil ? .image : .multiArray
        multiArrayConstraint = feature.type.map { MLMultiArrayConstraint(feature.shape, $0) }
        #if canImport(CoreVideo)
            imageConstraint = feature.dataType == nil ? MLImageConstraint(feature.shape) : nil
        #endif
    }

    public func isAllowedValue(_ value: MLFeatureValue) -> Bool {
        value.type == type && value.multiArrayValue?.shape == multiArrayConstraint?.shape
    }
}

open class MLModelDescription: NSObject {
    public let inputDescriptionsByName: [String: MLFeatureDescription]
    public let outputDescriptionsByName: [String: MLFeatureDescription]

    init(_ stub: Stub) {
        inputDescriptionsByName = Dictionary(
            uniqueKeysWithValues: stub.inputs.map { ($0.name, MLFeatureDescription($0)) })
        outputDescriptionsByName = Dictionary(
            uniqueKeysWithValues: stub.outputs.map { ($0.name, MLFeatureDescription($0)) })
    }
}

// MARK: - Devices

public protocol MLComputeDeviceProtocol: AnyObject {}

public final class MLCPUComputeDevice: NSObject, MLComputeDeviceProtocol, @unchecked Sendable {}

public final class MLGPUComputeDevice: NSObject, MLComputeDeviceProtocol, @unchecked Sendable {}

public final class MLNeuralEngineComputeDevice: NSObject, MLComputeDeviceProtocol, @unchecked Sendable {
    public var totalCoreCount: Int { 16 }
}

public enum MLComputeDevice: Hashable, Sendable {
    case cpu(MLCPUComputeDevice)
    case gpu(MLGPUComputeDevice)
    case neuralEngine(MLNeuralEngineComputeDevice)
}

public enum MLComputeUnits: Int, Sendable {
    case cpuOnly = 0
    case cpuAndGPU = 1
    case all = 2
    case cpuAndNeuralEngine = 3
}

// MARK: - The model

open class MLModelConfiguration: NSObject {
    public var computeUnits = MLComputeUnits.all
}

open class MLPredictionOptions: NSObject {}

open class MLModel: NSObject {
    public let modelDescription: MLModelDescription
    public let configuration: MLModelConfiguration
    private let stub: Stub

    init(_ stub: Stub, _ configuration: MLModelConfiguration) {
        self.stub = stub
        self.configuration = configuration
        modelDescription = MLModelDescription(stub)
    }

    public static var availableComputeDevices: [MLComputeDevice] {
        let others: [MLComputeDevice] = [.cpu(MLCPUComputeDevice()), .gpu(MLGPUComputeDevice())]
        return mode == "no-engine" ? others : others + [.neuralEngine(MLNeuralEngineComputeDevice())]
    }

    public class func compileModel(at modelURL: URL) throws -> URL {
        _ = try Stub(modelURL)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let name = modelURL.deletingPathExtension().lastPathComponent
        let compiled = folder.appendingPathComponent(name).appendingPathExtension("mlmodelc")
        try FileManager.default.copyItem(at: modelURL, to: compiled)
        usleep(50_000)
        return compiled
    }

    public class func compileModel(at url: URL) async throws -> URL {
        let compile: (URL) throws -> URL = compileModel(at:)
        return try compile(url)
    }

    public class func load(
        contentsOf url: URL,
        configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> MLModel {
        guard url.pathExtension == "mlmodelc" else { throw StubError("not a compiled model: \(url.lastPathComponent)") }
        let stub = try Stub(url)
        try misbehave("-load")
        pause(milliseconds: 20 * slowness(configuration.computeUnits))
        return MLModel(stub, configuration)
    }

    public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider {
        // An empty call: to time what the loop around it takes.
        if stub.milliseconds < 0 { return input }
        try misbehave("")
        pause(milliseconds: stub.milliseconds * slowness(configuration.computeUnits))
        let inputs = try stub.inputs.map { feature -> [Double] in
            guard let value = input.featureValue(for: feature.name) else { throw StubError("no input \(feature.name)") }
            return value.elements
        }
        let outputs = stub.outputs.map { feature -> (String, Any) in
            let array = MLMultiArray(feature.shape, feature.type ?? .float32, strides: feature.strides)
            for index in 0..<array.count {
                let sum = inputs.reduce(0) { $0 + $1[index % $1.count] }
                array[element: index] = sum * (feature.factor ?? 1) + (mode == "wrong" ? 1 : 0)
            }
            if feature.dictionary == true {
                let values = (0..<array.count).map { array[element: $0] }
                return (feature.name, MLFeatureValue(classes: values))
            }
            return (feature.name, MLFeatureValue(multiArray: array))
        }
        return try MLDictionaryFeatureProvider(dictionary: Dictionary(uniqueKeysWithValues: outputs))
    }

    /// What `prediction(from:)` means in an asynchronous function.
    public func prediction(
        from input: any MLFeatureProvider,
        options: MLPredictionOptions = MLPredictionOptions()
    ) async throws -> any MLFeatureProvider {
        let predict: (any MLFeatureProvider) throws -> any MLFeatureProvider = prediction(from:)
        return try predict(input)
    }
}

// MARK: - The plan

public enum MLModelStructure: Sendable {
    public struct Program: Sendable {
        public struct ValueType: Sendable {}

        public struct NamedValueType: Sendable {
            public let name: String
            public let type: ValueType
        }

        public struct Block: Sendable {
            public let inputs: [NamedValueType]
            public let outputNames: [String]
            public let operations: [Operation]
        }

        public struct Function: Sendable {
            public let inputs: [NamedValueType]
            public let block: Block
        }

        public struct Operation: Sendable {
            public let operatorName: String
            public let outputs: [NamedValueType]
            public let blocks: [Block]
        }

        public let functions: [String: Function]
    }

    public struct NeuralNetwork: Sendable {
        public struct Layer: Sendable {
            public let name: String
            public let type: String
            public let inputNames: [String]
            public let outputNames: [String]
        }

        public let layers: [Layer]
    }

    public struct Pipeline: Sendable {
        public let subModelNames: [String]
        public let subModels: [MLModelStructure]
    }

    case neuralNetwork(MLModelStructure.NeuralNetwork)
    case program(MLModelStructure.Program)
    case pipeline(MLModelStructure.Pipeline)
    case unsupported
}

public class MLComputePlan {
    public struct DeviceUsage: Sendable {
        public let supported: [MLComputeDevice]
        public let preferred: MLComputeDevice
    }

    public struct Cost: Sendable {
        public let weight: Double
    }

    public let modelStructure: MLModelStructure
    private let units: MLComputeUnits

    init(_ units: MLComputeUnits) {
        typealias Program = MLModelStructure.Program
        func operation(_ name: String, _ output: String, _ blocks: [Program.Block] = []) -> Program.Operation {
            let value = Program.NamedValueType(name: output, type: Program.ValueType())
            return Program.Operation(operatorName: name, outputs: [value], blocks: blocks)
        }
        let inner = Program.Block(inputs: [], outputNames: ["c"], operations: [operation("ios17.add", "c")])
        let block = Program.Block(
            inputs: [], outputNames: ["d"],
            operations: [
                operation("const", "a"), operation("ios17.conv", "b"), operation("cond", "d", [inner]),
            ])
        modelStructure = .program(Program(functions: ["main": Program.Function(inputs: [], block: block)]))
        self.units = units
    }

    public static func load(
        contentsOf url: URL,
        configuration: MLModelConfiguration
    ) async throws -> MLComputePlan {
        _ = try Stub(url)
        return MLComputePlan(configuration.computeUnits)
    }

    public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> MLComputePlan.DeviceUsage? {
        guard operation.operatorName.hasPrefix("ios") else { return nil }
        let processor = MLComputeDevice.cpu(MLCPUComputeDevice())
        let engine = MLComputeDevice.neuralEngine(MLNeuralEngineComputeDevice())
        let preferred = units == .all || units == .cpuAndNeuralEngine ? engine : processor
        return DeviceUsage(supported: [processor, engine], preferred: preferred)
    }

    public func deviceUsage(for layer: MLModelStructure.NeuralNetwork.Layer) -> MLComputePlan.DeviceUsage? { nil }

    public func estimatedCost(of operation: MLModelStructure.Program.Operation) -> MLComputePlan.Cost? {
        operation.operatorName.hasPrefix("ios") ? Cost(weight: 0.5) : nil
    }
}

// MARK: - What the bodies share

struct StubError: Error, CustomNSError {
    let message: String

    init(_ message: String) { self.message = message }

    static var errorDomain: String { "com.apple.CoreML" }
    var errorCode: Int { 0 }
    var errorUserInfo: [String: Any] { [NSLocalizedDescriptionKey: "The stub says: \(message)."] }
}

struct Feature: Decodable {
    let name: String
    let dataType: String?
    let shape: [Int]
    let strides: [Int]?
    let factor: Double?
    /// An output of probabilities by class.
    let dictionary: Bool?

    var type: MLMultiArrayDataType? {
        switch dataType {
        case "double": .double
        case "float16": .float16
        case "int32": .int32
        case "int8": .int8
        case nil: nil
        default: .float32
        }
    }
}

struct Stub: Decodable {
    let inputs: [Feature]
    let outputs: [Feature]
    let milliseconds: Double

    init(_ url: URL) throws {
        let file = url.appendingPathComponent("stub.json")
        guard let data = try? Data(contentsOf: file) else { throw StubError("no model at \(url.lastPathComponent)") }
        self = try JSONDecoder().decode(Stub.self, from: data)
    }
}

let mode: String = {
    let environment = ProcessInfo.processInfo.environment
    if let only = environment["COREML_STAND_IN_ONLY"], !CommandLine.arguments.contains(where: { $0.contains(only) }) {
        return ""
    }
    return environment["COREML_STAND_IN"] ?? ""
}()

func misbehave(_ place: String) throws {
    switch mode {
    case "fail" + place: throw StubError("failed\(place)")
    case "crash" + place: abort()
    case "hang" + place: while true { sleep(60) }
    default: return
    }
}

func slowness(_ units: MLComputeUnits) -> Double {
    let factor = mode == "slow" ? 10.0 : 1
    switch units {
    case .cpuOnly: return 4 * factor
    case .cpuAndGPU: return 2 * factor
    default: return factor
    }
}

func pause(milliseconds: Double) {
    var time = timespec(tv_sec: Int(milliseconds / 1000), tv_nsec: Int(milliseconds * 1e6) % 1_000_000_000)
    nanosleep(&time, nil)
}
