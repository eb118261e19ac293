import Foundation

/// Latency of timed inferences, ms.
public struct Latency: Codable, Equatable, Sendable {
    public var warmupRuns: Int?
    public var timedRuns: Int
    public var meanMs: Double
    public var p50Ms: Double?
    public var p90Ms: Double?
    public var p99Ms: Double?
    public var stdMs: Double?
    public var minMs: Double?
    public var maxMs: Double?
    public var samplesMs: [Double]?
    public var rounds: Int?
    public var elapsedS: Double?

    enum CodingKeys: String, CodingKey {
        case warmupRuns = "warmup_runs"
        case timedRuns = "timed_runs"
        case meanMs = "mean_ms"
        case p50Ms = "p50_ms"
        case p90Ms = "p90_ms"
        case p99Ms = "p99_ms"
        case stdMs = "std_ms"
        case minMs = "min_ms"
        case maxMs = "max_ms"
        case samplesMs = "samples_ms"
        case rounds
        case elapsedS = "elapsed_s"
    }

    /// The latency of samples; nil without samples.
    ///
    /// - Parameters:
    ///   - samplesMs: Every timed inference, in order.
    ///   - warmupRuns: Untimed inferences before, the first one included.
    ///   - elapsedS: Wall time of the timed inferences by a second clock.
    public init?(samplesMs: [Double], warmupRuns: Int, elapsedS: Double?) {
        guard let statistics = Statistics(samplesMs) else { return nil }
        self.warmupRuns = warmupRuns
        timedRuns = samplesMs.count
        meanMs = statistics.mean
        p50Ms = statistics.p50
        p90Ms = statistics.p90
        p99Ms = statistics.p99
        stdMs = statistics.standardDeviation
        minMs = statistics.least
        maxMs = statistics.greatest
        self.samplesMs = samplesMs
        self.elapsedS = elapsedS
    }
}

/// Times before the steady state, ms.
public struct Startup: Codable, Equatable, Sendable {
    public var initMs: Double?
    public var firstInferenceMs: Double?
    public var compileMs: Double?
    public var loadColdMs: Double?
    public var loadWarmMs: Double?
    public var coldStartMs: Double?

    enum CodingKeys: String, CodingKey {
        case initMs = "init_ms"
        case firstInferenceMs = "first_inference_ms"
        case compileMs = "compile_ms"
        case loadColdMs = "load_cold_ms"
        case loadWarmMs = "load_warm_ms"
        case coldStartMs = "cold_start_ms"
    }

    /// - Parameters:
    ///   - compileMs: Compiling the package; nil if loading includes it.
    ///   - loadColdMs: First load in this process.
    ///   - loadWarmMs: Second load.
    ///   - firstInferenceMs: The first inference after loading.
    public init(
        compileMs: Double?, loadColdMs: Double, loadWarmMs: Double, firstInferenceMs: Double
    ) {
        self.compileMs = compileMs
        self.loadColdMs = loadColdMs
        self.loadWarmMs = loadWarmMs
        self.firstInferenceMs = firstInferenceMs
        initMs = (compileMs ?? 0) + loadColdMs
    }
}

/// Memory of the process, bytes.
public struct Memory: Codable, Equatable, Sendable {
    public var peakRssBytes: Int?
    public var modelRssBytes: Int?
    public var peakFootprintBytes: Int?

    enum CodingKeys: String, CodingKey {
        case peakRssBytes = "peak_rss_bytes"
        case modelRssBytes = "model_rss_bytes"
        case peakFootprintBytes = "peak_footprint_bytes"
    }

    public init(peakRssBytes: Int?, modelRssBytes: Int?, peakFootprintBytes: Int?) {
        self.peakRssBytes = peakRssBytes
        self.modelRssBytes = modelRssBytes
        self.peakFootprintBytes = peakFootprintBytes
    }
}

/// Error of the measured runtime's outputs against PyTorch's in the golden pack.
public struct OutputAccuracy: Codable, Equatable, Sendable {
    /// The unit of the errors, such as `years`.
    public var unit: String
    public var samples: Int
    public var notFinite: Int
    public var weightsSha256: String
    public var maxError: Double?
    public var meanError: Double?
    public var tolerance: Double?

    enum CodingKeys: String, CodingKey {
        case unit
        case samples
        case notFinite = "not_finite"
        case weightsSha256 = "weights_sha256"
        case maxError = "max_error"
        case meanError = "mean_error"
        case tolerance
    }
}

/// Time of one op. Core ML reports where an op runs, but not for how long.
public struct OpTime: Codable, Equatable, Sendable {
    public var name: String
    public var kind: String
    public var runs: Int
    public var meanMs: Double
    public var unit: String?

    enum CodingKeys: String, CodingKey {
        case name
        case kind
        case runs
        case meanMs = "mean_ms"
        case unit
    }
}
