#if canImport(CoreML)
import BenchCore
import CoreML
import CoreVideo
import Foundation

/// Prepares a model's inputs before any clock starts.
struct Inputs {
    private let description: MLModelDescription
    private let file: String
    private let colorOrder: ColorOrder?

    init(of model: MLModel, file: String) {
        description = model.modelDescription
        colorOrder = model.selfDescription?.contract.colorOrder
        self.file = file
    }

    /// Every sample of the golden pack.
    ///
    /// - Throws: `BenchError.unsupportedModel` if the model's inputs are not those of the pack.
    func golden(_ pack: GoldenPack) throws -> [MLFeatureProvider] {
        guard Set(pack.images.keys) == Set(description.inputDescriptionsByName.keys) else {
            throw refused("its inputs are not those of the golden pack")
        }
        return try pack.samples.indices.map { index in
            try provider { name, feature in
                guard let images = pack.images[name] else { throw refused("no input '\(name)'") }
                return try value(feature, images: images, sample: index, pack: pack)
            }
        }
    }

    /// One mid-grey input, for use without a golden pack.
    func grey() throws -> [MLFeatureProvider] {
        let one = try provider { _, feature in
            if let image = feature.imageConstraint {
                let bytes = [UInt8](repeating: 128, count: image.pixelsWide * image.pixelsHigh * 4)
                return MLFeatureValue(
                    pixelBuffer: try picture(bytes, image.pixelsWide, image.pixelsHigh))
            }
            guard let array = feature.multiArrayConstraint, array.dataType == .float32 else {
                throw refused("an input is neither an image nor a float32 array")
            }
            let shape = array.shape.map(\.intValue)
            return self.array([Float](repeating: 128, count: shape.reduce(1, *)), shape)
        }
        return [one]
    }

    private func provider(
        _ value: (String, MLFeatureDescription) throws -> MLFeatureValue
    ) throws -> MLFeatureProvider {
        var values: [String: MLFeatureValue] = [:]
        for (name, feature) in description.inputDescriptionsByName {
            values[name] = try value(name, feature)
        }
        return try MLDictionaryFeatureProvider(dictionary: values)
    }

    private func value(
        _ feature: MLFeatureDescription, images: GoldenPack.Images, sample: Int, pack: GoldenPack
    ) throws -> MLFeatureValue {
        if let image = feature.imageConstraint {
            guard image.pixelsWide == images.width, image.pixelsHigh == images.height,
                let colorOrder = pack.colorOrder ?? colorOrder
            else { throw refused("an image input of another size or of unknown colour order") }
            // The model's contract tells the order of its own inputs, which are RGB, not the pack's.
            // Core ML reorders the channels of an image itself, so it takes true colours.
            let bytes = colorOrder.bgra(images.sample(sample))
            return MLFeatureValue(pixelBuffer: try picture(bytes, images.width, images.height))
        }
        guard let array = feature.multiArrayConstraint, array.dataType == .float32 else {
            throw refused("an input is neither an image nor a float32 array")
        }
        let shape = array.shape.map(\.intValue)
        let channelsFirst = shape == [1, 3, images.height, images.width]
        guard channelsFirst || shape == [1, images.height, images.width, 3] else {
            throw refused("an input has shape \(shape)")
        }
        let values = pack.tensor(images, sample: sample, channelsFirst: channelsFirst)
        return self.array(values, shape)
    }

    private func array(_ values: [Float], _ shape: [Int]) -> MLFeatureValue {
        MLFeatureValue(multiArray: MLMultiArray(MLShapedArray(scalars: values, shape: shape)))
    }

    private func picture(_ bgra: [UInt8], _ width: Int, _ height: Int) throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        // Without an IOSurface the Neural Engine copies the buffer at every inference.
        let attributes = NSDictionary(
            dictionary: [kCVPixelBufferIOSurfacePropertiesKey as String: [String: String]()])
        let status = CVPixelBufferCreate(
            kCFAllocatorDefault, width, height, kCVPixelFormatType_32BGRA,
            attributes as CFDictionary, &made)
        guard status == kCVReturnSuccess, let buffer = made else {
            throw refused("no pixel buffer of \(width) x \(height): status \(status)")
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw refused("a pixel buffer without memory")
        }
        let row = CVPixelBufferGetBytesPerRow(buffer)
        bgra.withUnsafeBytes { bytes in
            for y in 0..<height {
                let line = UnsafeRawBufferPointer(rebasing: bytes[y * width * 4..<(y + 1) * width * 4])
                UnsafeMutableRawBufferPointer(start: base + y * row, count: width * 4)
                    .copyMemory(from: line)
            }
        }
        return buffer
    }

    private func refused(_ why: String) -> BenchError {
        BenchError.unsupportedModel(file: file, why: why)
    }
}
#endif
