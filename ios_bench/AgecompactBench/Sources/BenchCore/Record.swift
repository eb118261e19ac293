import Foundation

/// Kind of measurement.
public enum Source: String, Codable, Equatable, Sendable {
    case device
    case host
    case emulatedInstructions = "emulated-instructions"
}

/// What one artefact costs in one place, as defined in `agecompact/bench/record.py`.
///
/// An unknown figure is nil, never 0. It is left out of the JSON, which Python reads as None.
public struct Record: Codable, Equatable, Sendable {
    public var source: Source
    public var artifact: Artifact
    public var machine: Machine
    public var runtime: Runtime
    public var latency: Latency?
    public var instructions: Instructions?
    public var startup: Startup?
    public var memory: Memory?
    public var conditions: Conditions?
    public var outputError: OutputAccuracy?
    public var ratio: Ratio?
    public var profile: [OpTime]?
    public var unknown: [String: String]?
    public var failure: String?
    public var takenAt: String?
    public var valid: Bool?
    public var reasons: [Reason]

    enum CodingKeys: String, CodingKey {
        case source
        case artifact
        case machine
        case runtime
        case latency
        case instructions
        case startup
        case memory
        case conditions
        case outputError = "output_error"
        case ratio
        case profile
        case unknown
        case failure
        case takenAt = "taken_at"
        case valid
        case reasons
    }

    /// A record without figures: what was to be measured, and why it was not.
    public init(
        source: Source, artifact: Artifact, machine: Machine, runtime: Runtime, failure: String
    ) {
        self.source = source
        self.artifact = artifact
        self.machine = machine
        self.runtime = runtime
        self.failure = failure
        reasons = []
    }
}

/// Why a record is not valid. Only Python's `validity` writes these.
public struct Reason: Codable, Equatable, Sendable {
    public var rule: String
    public var text: String

    enum CodingKeys: String, CodingKey {
        case rule
        case text
    }
}

/// The runtime that ran the file.
public struct Runtime: Codable, Equatable, Sendable {
    public var name: String
    public var version: String?
    public var threads: Int?
    public var batch: Int
    public var coreMask: String?
    public var delegate: Delegate?
    public var libraryBytes: Int?

    enum CodingKeys: String, CodingKey {
        case name
        case version
        case threads
        case batch
        case coreMask = "core_mask"
        case delegate
        case libraryBytes = "library_bytes"
    }

    /// Core ML, which has no option for threads and takes one face per inference.
    public init(coreML version: String?, delegate: Delegate) {
        name = "coreml"
        self.version = version
        batch = 1
        self.delegate = delegate
    }

    /// Core AI, likewise.
    public init(coreAI version: String?, delegate: Delegate) {
        name = "coreai"
        self.version = version
        batch = 1
        self.delegate = delegate
    }
}

/// The delegate that was requested and the one that ran.
public struct Delegate: Codable, Equatable, Sendable {
    public var asked: String
    public var got: String?
    public var partitions: Int?
    public var fallbackOps: [String: Int]?
    public var opsByUnit: [String: Int]?

    enum CodingKeys: String, CodingKey {
        case asked
        case got
        case partitions
        case fallbackOps = "fallback_ops"
        case opsByUnit = "ops_by_unit"
    }

    public init(
        asked: String, got: String? = nil, fallbackOps: [String: Int]? = nil,
        opsByUnit: [String: Int]? = nil
    ) {
        self.asked = asked
        self.got = got
        self.fallbackOps = fallbackOps
        self.opsByUnit = opsByUnit
    }
}
