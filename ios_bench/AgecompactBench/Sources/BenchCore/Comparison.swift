import Foundation

extension OutputAccuracy {
    /// The error of outputs against the golden pack, in its unit.
    ///
    /// - Parameters:
    ///   - answers: By output name, one value per sample, which may be NaN or infinite.
    ///   - pack: The golden pack whose samples were the inputs.
    ///   - file: Name of the artefact, under which the pack stores its tolerance.
    /// - Throws: `BenchError.failedPrediction` if an output or a value is missing.
    public init(answers: [String: [Double]], pack: GoldenPack, file: String) throws {
        var errors: [Double] = []
        var broken = Set<Int>()
        for (name, expected) in pack.outputs {
            guard let values = answers[name], values.count == expected.count else {
                throw BenchError.failedPrediction(
                    why: "\(answers[name]?.count ?? 0) values of '\(name)', not \(expected.count)")
            }
            for (sample, (actual, wanted)) in zip(values, expected).enumerated() {
                errors.append(abs(actual - Double(wanted)))
                if !actual.isFinite { broken.insert(sample) }
            }
        }
        unit = pack.unit
        samples = pack.samples.count
        notFinite = broken.count
        weightsSha256 = pack.weightsSha256
        maxError = broken.isEmpty ? errors.max() : nil
        meanError = broken.isEmpty ? Statistics.sum(errors) / Double(errors.count) : nil
        tolerance = pack.tolerances[file]
    }
}
