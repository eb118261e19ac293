#if canImport(CoreML)
import BenchCore
import CoreML
import Foundation

/// A loaded model and its inputs; only the prediction is timed.
///
/// Nothing here is async: in an async function Swift would choose the async `prediction`, whose time
/// includes a switch of threads.
struct Timing {
    let model: MLModel
    let inputs: [MLFeatureProvider]

    /// Returns the time of every inference, ms, cycling through the inputs.
    ///
    /// - Throws: `BenchError.failedPrediction`.
    func run(_ count: Int) throws -> [Double] {
        var samplesMs: [Double] = []
        samplesMs.reserveCapacity(count)
        for index in 0..<count {
            let input = inputs[index % inputs.count]
            // Without a pool the outputs would add to the measured memory.
            try autoreleasepool {
                samplesMs.append(try Stopwatch.time { try predict(input) }.ms)
            }
        }
        return samplesMs
    }

    /// Returns the scalar outputs for every input, by output name.
    ///
    /// - Throws: `BenchError.failedPrediction`.
    func answers(_ names: [String]) throws -> [String: [Double]] {
        var answers: [String: [Double]] = [:]
        for input in inputs {
            let outputs = try predict(input)
            for name in names {
                guard let array = outputs.featureValue(for: name)?.multiArrayValue, array.count == 1
                else {
                    throw BenchError.failedPrediction(why: "output '\(name)' is not a scalar")
                }
                answers[name, default: []].append(array[0].doubleValue)
            }
        }
        return answers
    }

    private func predict(_ input: MLFeatureProvider) throws -> MLFeatureProvider {
        do {
            return try model.prediction(from: input)
        } catch {
            throw BenchError.failedPrediction(why: oneLine(error))
        }
    }
}
#endif
