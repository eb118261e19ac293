import Foundation

extension OutputAccuracy {
    /// Error of answers against the golden pack's, in its unit.
    ///
    /// - Parameters:
    ///   - answers: By output name, one a sample; NaN or infinite where the runtime gave that.
    ///   - pack: Whose samples were put.
    ///   - file: Name of the artefact, by which the pack knows its tolerance.
    /// - Throws: `BenchError.failedPrediction` where an output or an answer is missing.
    public init(answers: [String: [Double]], pack: GoldenPack, file: String) throws {
        var errors: [Double] = []
        var broken = Set<Int>()
        for (name, expected) in pack.outputs {
            guard let told = answers[name], told.count == expected.count else {
                throw BenchError.failedPrediction(
                    why: "\(answers[name]?.count ?? 0) answers '\(name)', \(expected.count) wanted")
            }
            for (sample, (mine, theirs)) in zip(told, expected).enumerated() {
                errors.append(abs(mine - Double(theirs)))
                if !mine.isFinite { broken.insert(sample) }
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
