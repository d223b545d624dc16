import Foundation

/// How the stand-in misbehaves: the variable CREATEML_STAND_IN holds entries such as "train:3:crash", the point (a phase
/// and a count in it) and the way, or a bare word for a way that holds all the time; a comma lies between them.
struct Misbehaviour {
    static let requested = ProcessInfo.processInfo.environment["CREATEML_STAND_IN"] ?? ""

    static func holds(_ word: String) -> Bool { requested.split(separator: ",").contains(Substring(word)) }

    /// Misbehaves if that was asked for at this point.
    static func meet(_ point: String, _ count: Int = 0) throws {
        for entry in requested.split(separator: ",") {
            let parts = entry.split(separator: ":")
            if parts.count == 3, parts[0] == point, Int(parts[1]) == count { try perform(String(parts[2])) }
        }
    }

    private static func perform(_ way: String) throws {
        switch way {
        case "cancelled": throw MLCreateError.cancelled
        case "parameters":
            throw MLCreateError.incompatibleParameters(parameter: "augmentation", originalValue: "8", newValue: "0")
        case "modified": throw MLCreateError.modifiedTrainingData
        case "io": throw MLCreateError.io(reason: "The file 000003.bmp could not be opened.")
        case "type": throw MLCreateError.type(reason: "The column holds another type.")
        case "generic": throw MLCreateError.generic(reason: "Something went wrong.")
        case "vector": throw MLCreateError.generic(reason: "Must allow 2048-element vector as output")
        case "full": throw CocoaError(.fileWriteOutOfSpace)
        case "crash": fatalError("Index out of range")
        case "kill": kill(getpid(), SIGKILL)
        case "quit": exit(0)
        case "hang": while true { sleep(1) }
        case "memory": exhaustMemory()
        default: fatalError("The stand-in does not know \(way).")
        }
    }

    private static func exhaustMemory() {
        let size = 32 << 20
        while true {
            let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
            block.initializeMemory(as: UInt8.self, repeating: 1, count: size)
            usleep(20_000)  // for the supervisor, which looks several times a second
        }
    }
}
