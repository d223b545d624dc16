import Foundation

/// What a process is asked to do. Paths may be relative to the folder of the request.
struct Request: Codable, Equatable {
    enum Task: String, Codable {
        /// Compiles the model only.
        case compile
        /// Reads the plan of a compiled model only.
        case plan
        /// Loads, predicts and times a compiled model.
        case time
    }

    struct Input: Codable, Equatable {
        let name: String
        /// "array", or "image" with 8 bits for each channel.
        let kind: String
        /// The type of the numbers in the file: float32, float16, int32, float64, or uint8 for an image.
        let dtype: String
        /// The shape of one sample; an image: height, width, 3, or height, width in greyscale.
        let shape: [Int]
        /// The samples one after the other, little-endian, in C order; an image: red, green, blue.
        var file: String
    }

    let task: Task
    /// A .mlpackage or .mlmodel; it is needed to compile only.
    var model: String
    /// The .mlmodelc: it is written by `compile`, and read by the others.
    var compiled: String
    /// CPU_ONLY, CPU_AND_GPU, CPU_AND_NE or ALL.
    let unit: String
    var inputs: [Input]
    /// How many samples the files of the inputs hold; the calls take one after the other, again and again.
    let samples: Int
    // A loop ends when both its calls are made and its seconds have passed.
    let warmupCalls: Int
    let warmupSeconds: Double
    let calls: Int
    let seconds: Double
    /// How long to call without a pause after the timed calls.
    let sustainSeconds: Double?
}

/// An error that this program raises itself, or one of Core ML; `type` selects the rule of its failure.
struct RunnerError: Error {
    let type: String
    let message: String

    static func request(_ message: String) -> RunnerError { RunnerError(type: "InputError", message: message) }

    static func coreML(_ type: String, _ what: String, _ error: any Error) -> RunnerError {
        RunnerError(type: type, message: "Core ML could not \(what): \(describe(error))")
    }
}

/// The text of an error of the system, with that of the error below it.
func describe(_ error: any Error) -> String {
    if let error = error as? RunnerError { return error.message }
    let error = error as NSError
    guard let below = error.userInfo[NSUnderlyingErrorKey] as? NSError else { return error.localizedDescription }
    return "\(error.localizedDescription) (\(below.localizedDescription))"
}

/// What an error line says.
struct Failure: Codable {
    var type: String
    var message: String
    var errno: Int32?
    var traceback = ""

    init(_ error: any Error) {
        if let error = error as? RunnerError {
            (type, message, errno) = (error.type, error.message, nil)
        } else {
            (type, message) = (String(describing: Swift.type(of: error)), describe(error))
            errno = (error as NSError).domain == NSPOSIXErrorDomain ? Int32((error as NSError).code) : nil
        }
    }
}

/// Where the work stands.
struct Step {
    let phase: String
    let done: Int
    let total: Int
    var message = ""
}
