import CreateML
import Foundation

/// An error that this program raises itself; `type` selects the rule of its failure.
struct WorkerError: Error {
    let type: String
    let message: String

    static func request(_ message: String) -> WorkerError { WorkerError(type: "RequestError", message: message) }
    static func data(_ message: String) -> WorkerError { WorkerError(type: "UnusableDataError", message: message) }
    static func training(_ message: String) -> WorkerError { WorkerError(type: "CreateMLError", message: message) }
}

/// What the error line says: the kind of error in Create ML's own distinction, its text, and the system's error number.
struct FailureDescription {
    let type: String
    let message: String
    let posixCode: Int32?

    init(_ error: any Error) {
        switch error {
        case let error as WorkerError:
            (type, message, posixCode) = (error.type, error.message, nil)
        case let error as MLCreateError:
            (type, message) = describe(error)
            posixCode = Self.posixCode(of: error as NSError)
        default:
            type = String(describing: Swift.type(of: error))
            message = "\(error.localizedDescription) (\(error))"
            posixCode = Self.posixCode(of: error as NSError)
        }
    }

    /// The error number of a POSIX error, or of one below it.
    private static func posixCode(of error: NSError) -> Int32? {
        if error.domain == NSPOSIXErrorDomain { return Int32(error.code) }
        if error.domain == NSCocoaErrorDomain && error.code == CocoaError.fileWriteOutOfSpace.rawValue { return ENOSPC }
        guard let underlying = error.userInfo[NSUnderlyingErrorKey] as? NSError else { return nil }
        return posixCode(of: underlying)
    }
}

private func describe(_ error: MLCreateError) -> (type: String, message: String) {
    switch error {
    case .cancelled:
        return ("MLCreateError.cancelled", "The training was cancelled.")
    case .incompatibleParameters(let parameter, let originalValue, let newValue):
        return (
            "MLCreateError.incompatibleParameters",
            "The parameter \(parameter) was \(originalValue) when the session began, and is \(newValue) now."
        )
    case .modifiedTrainingData:
        return ("MLCreateError.modifiedTrainingData", "The training images have changed since the session began.")
    case .io(let reason):
        return ("MLCreateError.io", reason)
    case .type(let reason):
        return ("MLCreateError.type", reason)
    case .generic(let reason):
        return ("MLCreateError.generic", reason)
    @unknown default:
        return ("MLCreateError", String(describing: error))
    }
}
