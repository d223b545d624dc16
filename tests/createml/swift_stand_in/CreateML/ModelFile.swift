import Foundation

/// A message of Core ML's format, a protocol buffer.
struct Message {
    private(set) var data = Data()

    mutating func add(_ field: Int, _ value: Int) {
        varint(field << 3)
        varint(value)
    }

    mutating func add(_ field: Int, _ value: Data) {
        varint(field << 3 | 2)
        varint(value.count)
        data.append(value)
    }

    mutating func add(_ field: Int, _ value: String) { add(field, Data(value.utf8)) }

    mutating func add(_ field: Int, _ build: (inout Message) -> Void) {
        var message = Message()
        build(&message)
        add(field, message.data)
    }

    mutating func add(_ field: Int, packed values: [Double]) {
        add(
            field,
            values.reduce(into: Data()) { data, value in
                withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
            })
    }

    private mutating func varint(_ value: Int) {
        var rest = UInt64(value)
        while rest > 0x7F {
            data.append(UInt8(rest & 0x7F | 0x80))
            rest >>= 7
        }
        data.append(UInt8(rest))
    }
}

/// A model of the form that Create ML writes: a pipeline of Vision's scene print and a logistic regression.
///
/// The regression's weights are made up: no classifier of mean colours can be written that way. It is good for being
/// read, and for showing that only Core ML can execute it.
func modelFile(_ colours: NearestColour, _ metadata: MLModelMetadata) -> Data {
    let labels = colours.centres.keys.sorted()
    var model = Message()
    model.add(1, 3)
    model.add(2) { describe(&$0, input: image, metadata: metadata) }
    model.add(200) { classifier in
        classifier.add(1) { pipeline in
            pipeline.add(1, scenePrint())
            pipeline.add(1, regression(labels, colours))
        }
    }
    return model.data
}

private func scenePrint() -> Data {
    var model = Message()
    model.add(1, 3)
    model.add(2) { description in
        description.add(1, image)
        description.add(10, features)
    }
    model.add(2002) { $0.add(20) { $0.add(1, 1) } }
    return model.data
}

private func regression(_ labels: [String], _ colours: NearestColour) -> Data {
    var model = Message()
    model.add(1, 3)
    model.add(2) { describe(&$0, input: features, metadata: nil) }
    model.add(400) { regression in
        for label in labels.dropFirst() {
            let weights = (colours.centres[label] ?? []) + [Double](repeating: 0, count: 2045)
            regression.add(1) { $0.add(1, packed: weights) }
        }
        regression.add(2, packed: labels.dropFirst().map { _ in 0 })
        regression.add(100) { list in
            for label in labels { list.add(1, label) }
        }
    }
    return model.data
}

private func describe(_ description: inout Message, input: Data, metadata: MLModelMetadata?) {
    description.add(1, input)
    description.add(10, feature("target", type: 3) { _ in })
    description.add(10, feature("targetProbability", type: 6) { $0.add(2) { _ in } })
    description.add(11, "target")
    description.add(12, "targetProbability")
    guard let metadata else { return }
    description.add(100) { content in
        content.add(1, metadata.shortDescription)
        content.add(2, metadata.version)
        content.add(3, metadata.author)
        for (key, value) in (metadata.additional ?? [:]).sorted(by: { $0.key < $1.key }) {
            content.add(100) { entry in
                entry.add(1, key)
                entry.add(2, value)
            }
        }
    }
}

private let image = feature("image", type: 4) { type in
    type.add(1, 299)
    type.add(2, 299)
    type.add(3, 30)
}

private let features = feature("sceneFeatures", type: 5) { type in
    type.add(1, Data([0x80, 0x10]))
    type.add(2, 65600)
}

/// The description of an input or output: its name, and the number and content of its type.
private func feature(_ name: String, type number: Int, _ content: (inout Message) -> Void) -> Data {
    var message = Message()
    message.add(1, name)
    message.add(3) { $0.add(number, content) }
    return message.data
}
