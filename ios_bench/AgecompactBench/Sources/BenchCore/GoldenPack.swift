import Foundation

/// Inputs and PyTorch's outputs, in the format of `agecompact/artifacts/golden.py`.
public struct GoldenPack: Equatable, Sendable {
    public static let schemaVersion = 1
    public static let fileName = "golden.json"

    /// One input of the model: `samples` images of height x width x 3, row by row.
    public struct Images: Equatable, Sendable {
        public let height: Int
        public let width: Int
        let pixels: [UInt8]

        /// The pixels of one sample, HWC, in the model's colour order.
        public func sample(_ index: Int) -> ArraySlice<UInt8> {
            let length = height * width * 3
            return pixels[index * length..<(index + 1) * length]
        }
    }

    public let model: String
    public let weightsSha256: String
    public let unit: String
    /// Names of the samples.
    public let samples: [String]
    /// Order of the images' colours; `nil` if the pack does not say it.
    public let colorOrder: ColorOrder?
    /// Images by input name.
    public let images: [String: Images]
    /// The input value of each of the 256 levels in each of the 3 channels, channel by channel.
    public let table: [Float]
    /// PyTorch's outputs by name, one value per sample, in `unit`.
    public let outputs: [String: [Float]]
    /// Largest error allowed, by artefact file, in `unit`.
    public let tolerances: [String: Double]

    /// One sample of an input as a tensor of batch 1.
    ///
    /// - Parameters:
    ///   - channelsFirst: Whether the layout is NCHW rather than NHWC.
    public func tensor(_ images: Images, sample index: Int, channelsFirst: Bool) -> [Float] {
        let pixels = images.sample(index)
        let area = images.height * images.width
        var values = [Float](repeating: 0, count: pixels.count)
        for (place, level) in pixels.enumerated() {
            let (position, channel) = place.quotientAndRemainder(dividingBy: 3)
            values[channelsFirst ? channel * area + position : place] =
                table[channel * 256 + Int(level)]
        }
        return values
    }
}
