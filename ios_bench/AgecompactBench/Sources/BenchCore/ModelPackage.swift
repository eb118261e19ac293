import Foundation

/// An `.mlpackage` or `.aimodel` on disk, hashed as in `agecompact/files.py`.
public struct ModelPackage: Equatable, Sendable {
    public let place: URL
    /// Hash of the sorted `<sha256>  <relative path>` lines of its files.
    public let sha256: String
    /// Total size of its files.
    public let bytes: Int

    /// - Throws: `BenchError.unreadable`.
    public init(_ place: URL) throws {
        self.place = place
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: place.path, isDirectory: &isFolder),
            isFolder.boolValue
        else {
            throw BenchError.unreadable(file: place.path, why: "there is no package")
        }
        var total = 0
        var lines: [String] = []
        for path in try ModelPackage.files(in: place) {
            let content = try readFile(place.appendingPathComponent(path))
            total += content.count
            lines.append("\(SHA256.hash(content))  \(path)\n")
        }
        guard total > 0 else {
            throw BenchError.unreadable(file: place.path, why: "it is empty")
        }
        bytes = total
        sha256 = SHA256.hash(Data(lines.joined().utf8))
    }

    /// Whether Core AI runs it, and not Core ML.
    public var isCoreAI: Bool { place.pathExtension == "aimodel" }

    /// The metadata in a Core AI model; nil if agecompact did not write it, and for Core ML
    /// packages, whose metadata Core ML reads.
    public var selfDescription: SelfDescription? {
        struct About: Decodable {
            let creatorDefinedMetadata: [String: String]
        }
        guard isCoreAI, let content = try? readFile(place.appendingPathComponent("metadata.json")),
            let about = try? JSONDecoder().decode(About.self, from: content)
        else { return nil }
        return SelfDescription(about.creatorDefinedMetadata[SelfDescription.key])
    }

    /// Paths relative to a folder, in Python's order: component by component, by code point.
    private static func files(in folder: URL) throws -> [String] {
        guard let paths = FileManager.default.enumerator(atPath: folder.path) else {
            throw BenchError.unreadable(file: folder.path, why: "it cannot be listed")
        }
        let files = paths.compactMap { $0 as? String }.filter { path in
            var isFolder: ObjCBool = false
            let whole = folder.appendingPathComponent(path).path
            return FileManager.default.fileExists(atPath: whole, isDirectory: &isFolder)
                && !isFolder.boolValue
        }
        return files.sorted { first, second in
            first.split(separator: "/").map { Array($0.utf8) }
                .lexicographicallyPrecedes(second.split(separator: "/").map { Array($0.utf8) }) {
                    $0.lexicographicallyPrecedes($1)
                }
        }
    }
}

/// The package's metadata under the key `agecompact`.
public struct SelfDescription: Decodable, Equatable, Sendable {
    public static let key = "agecompact"

    /// The part of the contract that a benchmark needs.
    public struct Contract: Decodable, Equatable, Sendable {
        public let colorOrder: ColorOrder

        enum CodingKeys: String, CodingKey {
            case colorOrder = "color_order"
        }
    }

    public let model: String
    public let precision: String
    public let weightsSha256: String
    public let contract: Contract

    enum CodingKeys: String, CodingKey {
        case model
        case precision
        case weightsSha256 = "weights_sha256"
        case contract
    }

    /// Nil if the text is missing or has another form.
    public init?(_ text: String?) {
        guard let text,
            let metadata = try? JSONDecoder().decode(SelfDescription.self, from: Data(text.utf8))
        else { return nil }
        self = metadata
    }
}

/// Channel order of a model's pixels.
public enum ColorOrder: String, Decodable, Equatable, Sendable {
    case bgr = "BGR"
    case rgb = "RGB"

    /// Pixels of three channels as opaque pixels of a 32BGRA image.
    public func bgra(_ pixels: ArraySlice<UInt8>) -> [UInt8] {
        var picture: [UInt8] = []
        picture.reserveCapacity(pixels.count / 3 * 4)
        for start in stride(from: pixels.startIndex, to: pixels.endIndex, by: 3) {
            let pixel = [pixels[start], pixels[start + 1], pixels[start + 2]]
            picture += self == .bgr ? pixel : pixel.reversed()
            picture.append(255)
        }
        return picture
    }
}
