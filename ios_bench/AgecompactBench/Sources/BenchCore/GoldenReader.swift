import Foundation

extension GoldenPack {
    /// Reads a golden pack.
    ///
    /// - Parameter folder: The folder that holds `golden.json`.
    /// - Throws: `BenchError.unreadable` or `.brokenGoldenPack`.
    public init(folder: URL) throws {
        let place = folder.appendingPathComponent(GoldenPack.fileName)
        let content = try readFile(place)
        let index: Index
        do {
            index = try JSONDecoder().decode(Index.self, from: content)
        } catch {
            throw BenchError.brokenGoldenPack(file: place.path, why: "\(error)")
        }
        guard index.schemaVersion == GoldenPack.schemaVersion else {
            throw BenchError.brokenGoldenPack(
                file: place.path,
                why: "schema version \(index.schemaVersion), not \(GoldenPack.schemaVersion)"
            )
        }
        let count = index.samples.count
        guard count > 0, !index.inputs.isEmpty, !index.outputs.isEmpty else {
            throw BenchError.brokenGoldenPack(file: place.path, why: "it lists no sample or array")
        }
        model = index.model
        weightsSha256 = index.weightsSha256
        unit = index.unit
        samples = index.samples
        colorOrder = index.colorOrder
        images = try index.inputs.keyed { try $0.images(in: folder, count: count) }
        table = try index.table.floats(in: folder, shape: [3, 256])
        outputs = try index.outputs.keyed { try $0.floats(in: folder, shape: [count]) }
        tolerances = index.tolerances.mapValues(\.max)
    }

    private struct Index: Decodable {
        let schemaVersion: Int
        let model: String
        let weightsSha256: String
        let unit: String
        let samples: [String]
        let colorOrder: ColorOrder?
        let inputs: [StoredArray]
        let table: StoredArray
        let outputs: [StoredArray]
        let tolerances: [String: Tolerance]

        enum CodingKeys: String, CodingKey {
            case schemaVersion = "schema_version"
            case model
            case weightsSha256 = "weights_sha256"
            case unit
            case samples
            case colorOrder = "color_order"
            case inputs
            case table
            case outputs
            case tolerances
        }
    }

    private struct Tolerance: Decodable {
        let max: Double
    }
}

/// An array in its own file, little-endian and without a header.
struct StoredArray: Decodable {
    let name: String?
    let file: String
    let shape: [Int]
    let dtype: String

    func images(in folder: URL, count: Int) throws -> GoldenPack.Images {
        guard dtype == "uint8", shape.count == 4, shape[0] == count, shape[3] == 3,
            shape[1] > 0, shape[2] > 0
        else {
            throw broken("\(dtype) of shape \(shape), not uint8 of [\(count), H, W, 3]")
        }
        let bytes = try content(in: folder, bytes: shape.reduce(1, *))
        return GoldenPack.Images(height: shape[1], width: shape[2], pixels: [UInt8](bytes))
    }

    func floats(in folder: URL, shape wanted: [Int]) throws -> [Float] {
        guard dtype == "float32", shape == wanted else {
            throw broken("\(dtype) of shape \(shape), not float32 of \(wanted)")
        }
        let bytes = [UInt8](try content(in: folder, bytes: shape.reduce(4, *)))
        let values = stride(from: 0, to: bytes.count, by: 4).map { start in
            let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << (8 * $1) }
            return Float(bitPattern: bits)
        }
        guard values.allSatisfy(\.isFinite) else { throw broken("a value is not finite") }
        return values
    }

    private func content(in folder: URL, bytes: Int) throws -> Data {
        guard !file.contains("/"), file != "..", file != "." else {
            throw broken("it is outside the golden pack")
        }
        let content = try readFile(folder.appendingPathComponent(file))
        guard content.count == bytes else {
            throw broken("\(content.count) bytes, not \(bytes)")
        }
        return content
    }

    private func broken(_ why: String) -> BenchError {
        BenchError.brokenGoldenPack(file: file, why: why)
    }
}

extension Array where Element == StoredArray {
    fileprivate func keyed<T>(_ value: (StoredArray) throws -> T) throws -> [String: T] {
        var result: [String: T] = [:]
        for array in self {
            guard let name = array.name, result[name] == nil else {
                throw BenchError.brokenGoldenPack(
                    file: array.file, why: "its name is missing or not unique")
            }
            result[name] = try value(array)
        }
        return result
    }
}

/// Reads the bytes of a file.
///
/// - Throws: `BenchError.unreadable`.
func readFile(_ place: URL) throws -> Data {
    do {
        return try Data(contentsOf: place)
    } catch {
        throw BenchError.unreadable(file: place.path, why: error.localizedDescription)
    }
}
