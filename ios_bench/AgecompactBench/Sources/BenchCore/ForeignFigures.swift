import Foundation

// Figures of other harnesses, so that any `latency.json` can be read here.

/// Instructions of an emulated processor, per inference.
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

/// What a modelled figure claims to be.
public enum ModelledKind: String, Codable, Equatable, Sendable {
    case lowerBound = "lower bound"
    case estimate
}

/// A time that was worked out, not taken.
public struct Modelled: Codable, Equatable, Sendable {
    public var kind: ModelledKind
    public var inferenceMs: Double
    public var method: String
    public var lowMs: Double?
    public var highMs: Double?
    public var clockMHz: Double?
    public var msPerMillionInstructions: Double?

    enum CodingKeys: String, CodingKey {
        case kind
        case inferenceMs = "inference_ms"
        case method
        case lowMs = "low_ms"
        case highMs = "high_ms"
        case clockMHz = "clock_mhz"
        case msPerMillionInstructions = "ms_per_million_instructions"
    }
}

/// Latency a face over the reference's in the same rounds.
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
