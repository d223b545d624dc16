// swift-format-ignore-file: AlwaysUseLowerCamelCase

//
// A stand-in for the few names of Apple's CoreVideo and CoreFoundation that an image input needs, so that this part is
// compiled and run as well where there is no CoreVideo. Rows are padded, as they often are on a device.
import Foundation

public typealias CFAllocator = NSObject
public typealias CFDictionary = NSDictionary
public typealias CFString = NSString
public typealias OSType = UInt32
public typealias CVReturn = Int32

public let kCVReturnSuccess: CVReturn = 0
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
public let kCVPixelFormatType_OneComponent8: OSType = 0x4C30_3038
nonisolated(unsafe) public let kCVPixelBufferIOSurfacePropertiesKey: CFString = "IOSurfaceProperties"

public final class CVPixelBuffer {
    let height: Int
    /// Bytes of a row without its padding.
    let width: Int
    let rowBytes: Int
    let storage: UnsafeMutableRawBufferPointer

    init(_ height: Int, _ width: Int, _ pixelBytes: Int) {
        (self.height, self.width) = (height, width * pixelBytes)
        rowBytes = (self.width + 63) / 64 * 64
        storage = .allocate(byteCount: height * rowBytes, alignment: 64)
    }

    deinit { storage.deallocate() }

    /// The bytes without the padding.
    public var bytes: [UInt8] {
        (0..<height).flatMap { row in storage[row * rowBytes..<row * rowBytes + width] }
    }
}

public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

public func CVPixelBufferCreate(
    _ allocator: CFAllocator?,
    _ width: Int,
    _ height: Int,
    _ pixelFormatType: OSType,
    _ pixelBufferAttributes: CFDictionary?,
    _ pixelBufferOut: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn {
    pixelBufferOut.pointee = CVPixelBuffer(height, width, pixelFormatType == kCVPixelFormatType_32BGRA ? 4 : 1)
    return kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferLockBaseAddress(
    _ pixelBuffer: CVPixelBuffer, _ lockFlags: CVPixelBufferLockFlags
) -> CVReturn {
    kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferUnlockBaseAddress(
    _ pixelBuffer: CVPixelBuffer, _ unlockFlags: CVPixelBufferLockFlags
) -> CVReturn {
    kCVReturnSuccess
}

public func CVPixelBufferGetBaseAddress(_ pixelBuffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
    pixelBuffer.storage.baseAddress
}

public func CVPixelBufferGetBytesPerRow(_ pixelBuffer: CVPixelBuffer) -> Int { pixelBuffer.rowBytes }
