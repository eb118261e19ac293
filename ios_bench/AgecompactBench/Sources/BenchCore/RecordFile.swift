import Foundation

/// The content of `latency.json`.
public struct RecordFile: Codable, Equatable, Sendable {
    public static let schemaVersion = 3

    public var schemaVersion: Int
    public var records: [Record]

    enum CodingKeys: String, CodingKey {
        case schemaVersion = "schema_version"
        case records
    }

    public init(records: [Record]) {
        schemaVersion = RecordFile.schemaVersion
        self.records = records
    }

    /// - Throws: `BenchError.unreadable`, also for another schema version.
    public init(contentsOf place: URL) throws {
        do {
            self = try JSONDecoder().decode(RecordFile.self, from: readFile(place))
        } catch let error as DecodingError {
            throw BenchError.unreadable(file: place.path, why: "\(error)")
        }
        guard schemaVersion == RecordFile.schemaVersion else {
            throw BenchError.unreadable(
                file: place.path,
                why: "schema version \(schemaVersion), not \(RecordFile.schemaVersion)")
        }
    }

    /// - Throws: `BenchError.unwritable`; no file is left then.
    public func write(to place: URL) throws {
        try writeCanonical(self, to: place)
    }
}

/// JSON with sorted keys, no escaped slashes, a final newline and no NaN.
public func canonicalJSON<T: Encodable>(_ value: T) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return try encoder.encode(value) + Data("\n".utf8)
}

/// Writes canonical JSON atomically.
///
/// - Throws: `BenchError.unwritable`.
public func writeCanonical<T: Encodable>(_ value: T, to place: URL) throws {
    do {
        try FileManager.default.createDirectory(
            at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
        try canonicalJSON(value).write(to: place, options: .atomic)
    } catch {
        throw BenchError.unwritable(file: place.path, why: error.localizedDescription)
    }
}
