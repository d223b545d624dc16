import Foundation

typealias Colour = [Double]

extension MLImageClassifier.DataSource {
    /// The images by label; symbolic links and files that are no images by their names are left out.
    public func labeledImages() throws -> [String: [URL]] {
        switch self {
        case .filesByLabel(let files): return files
        case .labeledFiles: throw MLCreateError.type(reason: "The stand-in does not take labels from file names.")
        case .labeledDirectories(let folder):
            var images: [String: [URL]] = [:]
            for label in try contents(of: folder) where try isDirectory(label) {
                images[label.lastPathComponent] = try contents(of: label).filter { try isImage($0) }
            }
            if Misbehaviour.holds("overlook"), let label = images.keys.min() { images[label]?.removeLast() }
            return images
        }
    }

    private func contents(of folder: URL) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { !$0.lastPathComponent.hasPrefix(".") }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
    }

    private func isDirectory(_ url: URL) throws -> Bool {
        try url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true
    }

    private func isImage(_ url: URL) throws -> Bool {
        let isRegular = try url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true
        return isRegular && ["bmp", "gif", "jpeg", "jpg", "png", "tiff", "webp"].contains(url.pathExtension)
    }
}

/// A labelled image file; its identity for a session is its name and size.
struct Image: Codable, Equatable {
    let label: String
    let name: String
    let size: Int
}

/// The training and validation images of a session, and what of the parameters counts for its features.
struct TrainingData {
    let images: [(image: Image, url: URL)]
    let validation: [(label: String, url: URL)]
    let copies: Int
    let parameters: [String: String]
    let maxIterations: Int

    init(_ source: MLImageClassifier.DataSource, _ parameters: MLImageClassifier.ModelParameters) throws {
        images = try labelled(source).map { label, url in
            let size = try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
            return (Image(label: label, name: url.lastPathComponent, size: size), url)
        }
        if case .dataSource(let source) = parameters.validation {
            validation = try labelled(source)
        } else {
            validation = []
        }
        guard case .transferLearning(.scenePrint(let revision), .logisticRegressor) = parameters.algorithm else {
            throw MLCreateError.type(reason: "The stand-in has a logistic regressor only.")
        }
        guard let revision, 1...2 ~= revision else {
            throw MLCreateError.generic(reason: "Must allow 2048-element vector as output")
        }
        guard Set(images.map(\.image.label)).count > 1 else {
            throw MLCreateError.generic(reason: "A classifier needs two classes.")
        }
        let options = parameters.augmentation
        copies = (options.contains(.flip) ? 3 : 1) * (options.contains(.rotation) ? 4 : 1)
        maxIterations = parameters.maxIterations
        self.parameters = ["augmentation": "\(options.rawValue)", "revision": "\(revision)"]
    }
}

private func labelled(_ source: MLImageClassifier.DataSource) throws -> [(label: String, url: URL)] {
    try source.labeledImages().sorted { $0.key < $1.key }.flatMap { label, urls in urls.map { (label, $0) } }
}

/// The mean colour of an uncompressed 24-bit BMP file, each channel from 0 to 1.
func meanColour(of url: URL) throws -> Colour {
    let data = [UInt8](try Data(contentsOf: url))
    func number(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(data[offset + $1]) << (8 * $1) } }
    guard data.count > 54, data[0] == 0x42, data[1] == 0x4D, data[28] == 24 else {
        throw MLCreateError.io(reason: "The stand-in reads 24-bit BMP files only: \(url.lastPathComponent).")
    }
    let (start, width, height) = (number(10), number(18), number(22))
    let stride = (width * 3 + 3) / 4 * 4
    var sums = [0, 0, 0]
    for row in 0..<height {
        for column in 0..<width {
            for channel in 0..<3 { sums[channel] += Int(data[start + row * stride + column * 3 + channel]) }
        }
    }
    return sums.reversed().map { Double($0) / Double(width * height) / 255 }
}
