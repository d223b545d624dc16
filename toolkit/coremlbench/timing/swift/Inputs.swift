import CoreML
import Foundation

#if canImport(CoreVideo)
    import CoreVideo
#endif

func resolved(_ path: String, _ base: URL) -> URL {
    path.hasPrefix("/") ? URL(fileURLWithPath: path) : base.appendingPathComponent(path)
}

func contents(_ file: URL) throws -> Data {
    do { return try Data(contentsOf: file) } catch {
        throw RunnerError.request("The file '\(file.lastPathComponent)' cannot be read: \(describe(error)).")
    }
}

private let elementBytes = ["float32": 4, "float16": 2, "int32": 4, "float64": 8, "uint8": 1]
private let elementTypes: [String: MLMultiArrayDataType] = [
    "float32": .float32, "float16": .float16, "int32": .int32, "float64": .double,
]

/// Calls the body with the offset of every element, in C order.
func eachOffset(_ shape: [Int], _ strides: [Int], _ body: (Int) -> Void) {
    guard !shape.contains(0) else { return }
    var index = [Int](repeating: 0, count: shape.count)
    var offset = 0
    while true {
        body(offset)
        var axis = shape.count - 1
        while axis >= 0, index[axis] == shape[axis] - 1 {
            offset -= index[axis] * strides[axis]
            index[axis] = 0
            axis -= 1
        }
        guard axis >= 0 else { return }
        index[axis] += 1
        offset += strides[axis]
    }
}

/// One sample of an array; `start` is its offset in the data.
private func array(_ input: Request.Input, _ data: Data, _ start: Int) throws -> MLFeatureValue {
    guard let type = elementTypes[input.dtype], let bytes = elementBytes[input.dtype] else {
        throw RunnerError.request("The input '\(input.name)' has the unknown type '\(input.dtype)'.")
    }
    let array = try MLMultiArray(shape: input.shape.map { NSNumber(value: $0) }, dataType: type)
    array.withUnsafeMutableBytes { target, strides in
        data.withUnsafeBytes { source in
            var position = start
            eachOffset(input.shape, strides) { offset in
                (target.baseAddress! + offset * bytes)
                    .copyMemory(from: source.baseAddress! + position, byteCount: bytes)
                position += bytes
            }
        }
    }
    return MLFeatureValue(multiArray: array)
}

/// One sample of an image, in a buffer that the processors can share.
private func image(
    _ input: Request.Input, _ data: Data, _ start: Int, _ description: MLFeatureDescription
) throws -> MLFeatureValue {
    #if canImport(CoreVideo)
        let grey = input.shape.count == 2
        guard grey || (input.shape.count == 3 && input.shape[2] == 3) else {
            throw RunnerError.request("The picture '\(input.name)' has the shape \(input.shape).")
        }
        let format = grey ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        if let needed = description.imageConstraint?.pixelFormatType, needed != format {
            throw RunnerError.request(
                "The model takes the picture '\(input.name)' in the pixel format \(needed), which the native runner "
                    + "does not make; time it with --runner python.")
        }
        let (height, width, channels) = (input.shape[0], input.shape[1], grey ? 1 : 3)
        let attributes = NSDictionary(
            dictionary: [kCVPixelBufferIOSurfacePropertiesKey as NSString: NSDictionary()])
        var created: CVPixelBuffer?
        let status = CVPixelBufferCreate(nil, width, height, format, attributes as CFDictionary, &created)
        guard status == kCVReturnSuccess, let buffer = created else {
            throw RunnerError.request("There is no pixel buffer for the picture '\(input.name)' (\(status)).")
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
        guard let pixels = CVPixelBufferGetBaseAddress(buffer)?.assumingMemoryBound(to: UInt8.self) else {
            throw RunnerError.request("The pixel buffer of the picture '\(input.name)' has no memory.")
        }
        data.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
            for row in 0..<height {
                for column in 0..<width {
                    let from = start + (row * width + column) * channels
                    if grey {
                        pixels[row * rowBytes + column] = source[from]
                        continue
                    }
                    let to = row * rowBytes + column * 4
                    for channel in 0..<3 { pixels[to + channel] = source[from + 2 - channel] }
                    pixels[to + 3] = 255
                }
            }
        }
        return MLFeatureValue(pixelBuffer: buffer)
    #else
        throw RunnerError.request("Pictures need Core Video, which this system does not have.")
    #endif
}

/// The samples as the model takes them: the right names, kinds and shapes.
func features(
    _ request: Request, _ model: MLModelDescription, _ base: URL
) throws -> [MLDictionaryFeatureProvider] {
    let known = model.inputDescriptionsByName
    var samples = [[String: Any]](repeating: [:], count: request.samples)
    for input in request.inputs {
        guard let description = known[input.name] else {
            let names = known.keys.sorted().joined(separator: ", ")
            throw RunnerError.request("The model has no input '\(input.name)'; its inputs are \(names).")
        }
        guard (input.kind == "image") == (description.type == .image) else {
            let negation = input.kind == "image" ? " not" : ""
            throw RunnerError.request("The input '\(input.name)' of the model is\(negation) a picture.")
        }
        let data = try contents(resolved(input.file, base))
        let bytes = input.shape.reduce(elementBytes[input.dtype] ?? 0, *)
        guard bytes > 0, data.count == bytes * request.samples else {
            throw RunnerError.request(
                "The input '\(input.name)' needs \(bytes * request.samples) bytes; its file has \(data.count).")
        }
        for index in 0..<request.samples {
            let value =
                input.kind == "image"
                ? try image(input, data, index * bytes, description) : try array(input, data, index * bytes)
            // The shape of a description is only the usual one where other shapes are allowed.
            if let usual = description.multiArrayConstraint?.shape.map(\.intValue), usual != input.shape,
                !description.isAllowedValue(value)
            {
                throw RunnerError.request(
                    "The input '\(input.name)' has the shape \(input.shape); the model takes \(usual).")
            }
            samples[index][input.name] = value
        }
    }
    let missing = known.values.filter { !$0.isOptional && samples[0][$0.name] == nil }.map(\.name).sorted()
    guard missing.isEmpty else {
        throw RunnerError.request("The model also needs the input \(missing.joined(separator: ", ")).")
    }
    return try samples.map(MLDictionaryFeatureProvider.init(dictionary:))
}
