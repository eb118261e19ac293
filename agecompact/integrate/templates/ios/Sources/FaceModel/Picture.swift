import CoreGraphics
import CoreImage

/// Pixels in rows from the top, four bytes each: red, green, blue and one that is not used.
public struct Picture {
    public let width: Int
    public let height: Int
    public let rgbx: [UInt8]

    public init(width: Int, height: Int, rgbx: [UInt8]) {
        self.width = width
        self.height = height
        self.rgbx = rgbx
    }

    /// The pixels of an upright image in sRGB, at its own size: `pixels` resizes.
    public init?(_ image: CGImage) {
        let (width, height) = (image.width, image.height)
        var bytes = [UInt8](repeating: 0, count: 4 * width * height)
        let drawn = bytes.withUnsafeMutableBytes { buffer -> Bool in
            guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                let context = CGContext(
                    data: buffer.baseAddress, width: width, height: height, bitsPerComponent: 8,
                    bytesPerRow: 4 * width, space: space,
                    bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            else { return false }
            context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
            return true
        }
        guard drawn else { return nil }
        self.init(width: width, height: height, rgbx: bytes)
    }
}

extension CVPixelBuffer {
    /// A camera's frame, turned upright: sensors are mounted sideways, and the model is not.
    public func upright(_ orientation: CGImagePropertyOrientation, by context: CIContext) -> CGImage? {
        let turned = CIImage(cvPixelBuffer: self).oriented(orientation)
        return context.createCGImage(turned, from: turned.extent)
    }
}
