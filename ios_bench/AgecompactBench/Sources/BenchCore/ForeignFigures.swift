import Foundation

// Figures of other drivers, so that any `latency.json` can be read here.

/// Instructions that an emulated processor executed, per inference.
public struct Instructions: Codable, Equatable, Sendable {
    public var total: Int
    public var totals: [Int]
    public var inferences: Int?
    public var initialising: Int?
    public var first: Int?
    public var load: Int?
    public var store: Int?
    public var multiplyAccumulate: Int?
    public var simd: Int?
    public var branch: Int?
    public var bound: Int?
    public var boundBasis: String?

    enum CodingKeys: String, CodingKey {
        case total
        case totals
        case inferences
        case initialising = "init"
        case first
        case load
        case store
        case multiplyAccumulate = "multiply_accumulate"
        case simd
        case branch
        case bound
        case boundBasis = "bound_basis"
    }
}

/// Latency per face relative to the reference's in the same rounds.
public struct Ratio: Codable, Equatable, Sendable {
    public var reference: String
    public var referenceSha256: String
    public var referenceThreads: Int
    public var median: Double
    public var low: Double?
    public var high: Double?

    enum CodingKeys: String, CodingKey {
        case reference
        case referenceSha256 = "reference_sha256"
        case referenceThreads = "reference_threads"
        case median
        case low
        case high
    }
}
