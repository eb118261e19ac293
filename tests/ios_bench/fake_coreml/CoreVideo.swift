// A fake Core Video with what BenchCoreML uses; see CoreML.swift.
import Foundation

public typealias CFDictionary = NSDictionary
public typealias CFString = String
public class CFAllocator {}
public let kCFAllocatorDefault: CFAllocator? = nil

public class CVBuffer {
    /// Longer than a row, as in a real buffer.
    let bytesPerRow: Int
    public let bytes: UnsafeMutableBufferPointer<UInt8>

    init(_ width: Int, _ height: Int) {
        bytesPerRow = width * 4 + 12
        bytes = .allocate(capacity: bytesPerRow * height)
        bytes.initialize(repeating: 0)
    }

    deinit { bytes.deallocate() }
}
public typealias CVPixelBuffer = CVBuffer
public typealias CVReturn = Int32
public typealias OSType = UInt32
public struct CVPixelBufferLockFlags: OptionSet {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

public let kCVReturnSuccess: CVReturn = 0
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
public let kCVPixelBufferIOSurfacePropertiesKey: CFString = "IOSurfaceProperties"

public func CVPixelBufferCreate(
    _ allocator: CFAllocator?, _ width: Int, _ height: Int, _ pixelFormatType: OSType,
    _ pixelBufferAttributes: CFDictionary?,
    _ pixelBufferOut: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn {
    pixelBufferOut.pointee = CVBuffer(width, height)
    return kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferLockBaseAddress(
    _ pixelBuffer: CVPixelBuffer, _ lockFlags: CVPixelBufferLockFlags
) -> CVReturn { kCVReturnSuccess }

@discardableResult
public func CVPixelBufferUnlockBaseAddress(
    _ pixelBuffer: CVPixelBuffer, _ unlockFlags: CVPixelBufferLockFlags
) -> CVReturn { kCVReturnSuccess }

public func CVPixelBufferGetBaseAddress(_ pixelBuffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(pixelBuffer.bytes.baseAddress)
}

public func CVPixelBufferGetBytesPerRow(_ pixelBuffer: CVPixelBuffer) -> Int {
    pixelBuffer.bytesPerRow
}
