#if canImport(CoreML)
import BenchCore
import CoreML
import Foundation

/// A loaded model and what it is asked, with the clock around nothing but the prediction.
///
/// Nothing here is async: in an async function Swift would choose the other `prediction`, which
/// measures a change of threads besides.
struct Timing {
    let model: MLModel
    let inputs: [MLFeatureProvider]

    /// Time of every inference, ms, the inputs in turn.
    ///
    /// - Throws: `BenchError.failedPrediction`.
    func run(_ count: Int) throws -> [Double] {
        var samplesMs: [Double] = []
        samplesMs.reserveCapacity(count)
        for index in 0..<count {
            let input = inputs[index % inputs.count]
            // The answers of a run without a pool would add to the memory that is measured.
            try autoreleasepool {
                samplesMs.append(try Stopwatch.time { try predict(input) }.ms)
            }
        }
        return samplesMs
    }

    /// The scalar answers to every input, by output name.
    ///
    /// - Throws: `BenchError.failedPrediction`.
    func answers(_ names: [String]) throws -> [String: [Double]] {
        var answers: [String: [Double]] = [:]
        for input in inputs {
            let told = try predict(input)
            for name in names {
                guard let array = told.featureValue(for: name)?.multiArrayValue, array.count == 1
                else {
                    throw BenchError.failedPrediction(why: "no single answer '\(name)'")
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
