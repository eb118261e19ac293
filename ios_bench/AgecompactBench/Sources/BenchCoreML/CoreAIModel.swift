#if canImport(CoreAI)
import BenchCore
import CoreAI
import Foundation

@available(iOS 27.0, macOS 27.0, *)
extension ComputeUnit {
    /// Core AI's own options. It prefers a unit, and may use the others as well.
    var coreAI: SpecializationOptions {
        switch self {
        case .cpuOnly: return .cpuOnly()
        case .cpuAndGPU: return SpecializationOptions(preferredComputeUnitKind: .gpu)
        case .cpuAndNeuralEngine:
            return SpecializationOptions(preferredComputeUnitKind: .neuralEngine)
        case .all: return .default()
        }
    }
}

/// A loaded Core AI model; only the inference is timed.
@available(iOS 27.0, macOS 27.0, *)
struct CoreAIModel {
    typealias Inputs = [String: NDArray]

    // As the export names it.
    private static let functionName = "main"

    private let function: InferenceFunction
    private let descriptor: InferenceFunctionDescriptor
    private let file: String

    /// - Throws: `BenchError.unsupportedModel`.
    init(_ place: URL, _ unit: ComputeUnit) async throws {
        file = place.lastPathComponent
        let refused = { (why: String) in
            BenchError.unsupportedModel(file: place.lastPathComponent, why: why)
        }
        do {
            let model = try await AIModel(contentsOf: place, options: unit.coreAI)
            let name = CoreAIModel.functionName
            guard let described = model.functionDescriptor(for: name),
                let loaded = try model.loadFunction(named: name)
            else { throw refused("it has no function '\(name)'") }
            (descriptor, function) = (described, loaded)
        } catch let error as BenchError {
            throw error
        } catch {
            throw refused("it does not load: \(oneLine(error))")
        }
    }

    /// Every sample of the golden pack.
    ///
    /// - Throws: `BenchError.unsupportedModel` if the model's inputs are not those of the pack.
    func golden(_ pack: GoldenPack) throws -> [Inputs] {
        guard Set(pack.images.keys) == Set(descriptor.inputNames) else {
            throw refused("its inputs are not those of the golden pack")
        }
        return try pack.samples.indices.map { index in
            try inputs { name, shape in
                guard let images = pack.images[name], shape == [1, 3, images.height, images.width]
                else { throw refused("input '\(name)' has shape \(shape)") }
                return pack.tensor(images, sample: index, channelsFirst: true)
            }
        }
    }

    /// One mid-grey input, for use without a golden pack.
    func grey() throws -> [Inputs] {
        [try inputs { _, shape in [Float](repeating: 128, count: shape.reduce(1, *)) }]
    }

    /// Returns the time of every inference, ms, cycling through the inputs.
    ///
    /// - Throws: `BenchError.failedPrediction`.
    func run(_ inputs: [Inputs], _ count: Int) async throws -> [Double] {
        var samplesMs: [Double] = []
        samplesMs.reserveCapacity(count)
        for index in 0..<count {
            let watch = Stopwatch()
            _ = try await predict(inputs[index % inputs.count], [])
            samplesMs.append(watch.elapsedMs)
        }
        return samplesMs
    }

    /// Returns the scalar outputs for every input, by output name.
    ///
    /// - Throws: `BenchError.failedPrediction`.
    func answers(_ inputs: [Inputs], _ names: [String]) async throws -> [String: [Double]] {
        var answers: [String: [Double]] = [:]
        for input in inputs {
            let values = try await predict(input, names)
            for (name, value) in zip(names, values) { answers[name, default: []].append(value) }
        }
        return answers
    }

    private func inputs(_ values: (String, [Int]) throws -> [Float]) throws -> Inputs {
        var made: Inputs = [:]
        for name in descriptor.inputNames {
            guard case .ndArray(let array) = descriptor.inputDescriptor(of: name),
                array.scalarType == .float32
            else { throw refused("input '\(name)' is not a float32 array") }
            made[name] = NDArray(scalars: try values(name, array.shape), shape: array.shape)
        }
        return made
    }

    private func predict(_ inputs: Inputs, _ names: [String]) async throws -> [Double] {
        do {
            var outputs = try await function.run(inputs: inputs)
            var values: [Double] = []
            for name in names {
                guard let array = outputs.remove(name)?.ndArray, array.scalarType == .float32,
                    array.shape.reduce(1, *) == 1
                else { throw BenchError.failedPrediction(why: "output '\(name)' is not a scalar") }
                let value = array.view(as: Float.self).withUnsafePointer { first, _, _ in first[0] }
                values.append(Double(value))
            }
            return values
        } catch let error as BenchError {
            throw error
        } catch {
            throw BenchError.failedPrediction(why: oneLine(error))
        }
    }

    private func refused(_ why: String) -> BenchError {
        BenchError.unsupportedModel(file: file, why: why)
    }
}
#endif
