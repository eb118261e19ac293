#if canImport(CoreML)
import BenchCore
import CoreML
import Foundation

extension ComputeUnit {
    /// Core ML's own value.
    public var coreML: MLComputeUnits {
        switch self {
        case .cpuOnly: return .cpuOnly
        case .cpuAndGPU: return .cpuAndGPU
        case .cpuAndNeuralEngine: return .cpuAndNeuralEngine
        case .all: return .all
        }
    }

    /// The configuration to load a model with.
    public var configuration: MLModelConfiguration {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = coreML
        return configuration
    }
}

/// A package that Core ML compiled on this machine.
public struct CompiledModel {
    /// The `.mlmodelc` folder, in a temporary place.
    public let place: URL
    /// Compile time, ms.
    public let compileMs: Double

    /// - Throws: `BenchError.unsupportedModel`.
    public init(_ package: URL) async throws {
        let watch = Stopwatch()
        do {
            place = try await MLModel.compileModel(at: package)
        } catch {
            throw BenchError.unsupportedModel(
                file: package.lastPathComponent, why: "it does not compile: \(oneLine(error))")
        }
        compileMs = watch.elapsedMs
    }

    /// Loads the model.
    ///
    /// - Throws: `BenchError.unsupportedModel`.
    public func load(_ unit: ComputeUnit) throws -> MLModel {
        do {
            return try MLModel(contentsOf: place, configuration: unit.configuration)
        } catch {
            throw BenchError.unsupportedModel(
                file: place.lastPathComponent, why: "it does not load: \(oneLine(error))")
        }
    }

    /// Removes the folder.
    public func remove() {
        try? FileManager.default.removeItem(at: place)
    }
}

extension MLModel {
    /// The package's metadata; nil if agecompact did not write it.
    public var selfDescription: SelfDescription? {
        let own = modelDescription.metadata[.creatorDefinedKey] as? [String: String]
        return SelfDescription(own?[SelfDescription.key])
    }
}
#endif
