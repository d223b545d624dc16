import CoreML
import Foundation

/// By its bits, as Swift has no Float16 on Intel Macs.
func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10 & 0x1F)
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0: return Float(sign: sign == 0 ? .plus : .minus, exponent: -24, significand: Float(fraction))
    case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}

/// The elements in C order; an output often has padding between its rows. nil: a type that is not known here.
private func elements(_ array: MLMultiArray) -> [Double]? {
    let (shape, strides) = (array.shape.map(\.intValue), array.strides.map(\.intValue))
    var values: [Double] = []
    values.reserveCapacity(array.count)
    func read<T>(_ type: T.Type, _ number: (T) -> Double) -> [Double] {
        array.withUnsafeBytes { bytes in
            eachOffset(shape, strides) { offset in
                values.append(number(bytes.loadUnaligned(fromByteOffset: offset * MemoryLayout<T>.stride, as: type)))
            }
        }
        return values
    }
    switch array.dataType {
    case .float32: return read(Float.self, Double.init)
    case .float16: return read(UInt16.self) { Double(float(half: $0)) }
    case .double: return read(Double.self) { $0 }
    case .int32: return read(Int32.self, Double.init)
    default: return nil
    }
}

/// The numbers of an output; probabilities by class are sorted by the class as text. A single integer is a label, and
/// has none, as a text, a picture or a sequence.
private func numbers(_ value: MLFeatureValue) -> [Double]? {
    switch value.type {
    case .multiArray: return value.multiArrayValue.flatMap(elements)
    case .double: return [value.doubleValue]
    case .dictionary:
        return value.dictionaryValue.map { (String(describing: $0.key.base), $0.value.doubleValue) }
            .sorted { $0.0.unicodeScalars.lexicographicallyPrecedes($1.0.unicodeScalars) }
            .map(\.1)
    default: return nil
    }
}

/// Gathers the outputs of all samples.
struct OutputValues {
    private var values: [String: [Double]] = [:]
    private var others: Set<String> = []

    mutating func add(_ outputs: any MLFeatureProvider) {
        for name in outputs.featureNames {
            if let value = outputs.featureValue(for: name), let read = numbers(value) {
                values[name, default: []] += read
            } else {
                others.insert(name)
            }
        }
    }

    /// Writes the values of each output to a file in a folder.
    func save(_ folder: URL) throws -> [Timed.Output] {
        let saved = try values.keys.sorted().enumerated().map { position, name in
            let file = "output.\(position).f64"
            let data = values[name]!.withUnsafeBytes { Data($0) }
            try data.write(to: folder.appendingPathComponent(file), options: .atomic)
            return Timed.Output(name: name, file: file)
        }
        return saved + others.subtracting(values.keys).sorted().map { Timed.Output(name: $0, file: nil) }
    }
}
