import Foundation

/// The file that was measured.
public struct Artifact: Codable, Equatable, Sendable {
    public var model: String
    public var file: String
    /// As `agecompact/formats.py` names it; `pytorch` is the source weights.
    public var format: String
    public var precision: String
    public var sha256: String
    public var fileBytes: Int
    public var parameters: Int?
    public var macs: Int?
    public var size: Size?

    enum CodingKeys: String, CodingKey {
        case model
        case file
        case format
        case precision
        case sha256
        case fileBytes = "file_bytes"
        case parameters
        case macs
        case size
    }

    public init(
        model: String, file: String, format: String, precision: String, sha256: String,
        fileBytes: Int
    ) {
        self.model = model
        self.file = file
        self.format = format
        self.precision = precision
        self.sha256 = sha256
        self.fileBytes = fileBytes
    }
}

/// Breakdown of an artefact's bytes.
public struct Size: Codable, Equatable, Sendable {
    public var weightsBytes: Int
    public var graphBytes: Int
    public var metadataBytes: Int
    public var deflatedBytes: Int
    public var boundBytes: Int?

    enum CodingKeys: String, CodingKey {
        case weightsBytes = "weights_bytes"
        case graphBytes = "graph_bytes"
        case metadataBytes = "metadata_bytes"
        case deflatedBytes = "deflated_bytes"
        case boundBytes = "bound_bytes"
    }
}
