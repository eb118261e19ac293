#if canImport(CoreML)
import BenchCore
import Foundation

extension Benchmark {
    /// Measures a Core AI model.
    ///
    /// - Throws: `BenchError.noCoreAI` on an older system, else as `run`.
    func runCoreAI() async throws -> Outcome {
        #if canImport(CoreAI)
        if #available(iOS 27.0, macOS 27.0, *) { return try await measureCoreAI() }
        #endif
        throw BenchError.noCoreAI
    }

    #if canImport(CoreAI)
    @available(iOS 27.0, macOS 27.0, *)
    private func measureCoreAI() async throws -> Outcome {
        let footprint = Footprint()
        // The first load specializes the model for this device, unless the system's cache has it.
        let cold = Stopwatch()
        _ = try await CoreAIModel(package.place, options.computeUnit)
        let loadColdMs = cold.elapsedMs
        let warm = Stopwatch()
        let model = try await CoreAIModel(package.place, options.computeUnit)
        let loadWarmMs = warm.elapsedMs
        let inputs = try pack.map { try model.golden($0) } ?? model.grey()

        let warmupMs = try await model.run(inputs, options.warmup)
        let before = Device.thermal()
        let wall = WallClock()
        let samplesMs = try await model.run(inputs, options.runs)
        let elapsedS = wall.elapsedS
        let after = Device.thermal()

        var record = blank(failure: "")
        record.failure = nil
        record.latency = Latency(
            samplesMs: samplesMs, warmupRuns: warmupMs.count, elapsedS: elapsedS)
        record.startup = Startup(
            compileMs: nil, loadColdMs: loadColdMs, loadWarmMs: loadWarmMs,
            firstInferenceMs: warmupMs[0])
        record.memory = footprint.memory()
        record.conditions = Conditions(
            lowPowerMode: Device.lowPowerMode(), before: before, after: after)
        if let pack {
            record.outputError = try OutputAccuracy(
                answers: try await model.answers(inputs, pack.outputs.keys.sorted()), pack: pack,
                file: package.place.lastPathComponent)
        }
        record.unknown = [
            "profile": "Core AI reports no time per op",
            "ops_by_unit": "Core AI does not say where an op runs",
        ]
        return Outcome(record: record, placement: nil)
    }
    #endif
}
#endif
