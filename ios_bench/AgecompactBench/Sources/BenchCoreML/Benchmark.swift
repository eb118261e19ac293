#if canImport(CoreML)
import BenchCore
import CoreML
import Foundation

/// Measures one package on one compute unit. A process measures only once, since a second load
/// would find Core ML's caches warm.
public struct Benchmark {
    let package: ModelPackage
    let options: Options
    let pack: GoldenPack?

    /// The record, and the compute unit that the plan assigns to each op.
    public struct Outcome {
        public let record: Record
        public let placement: [OpPlacement]?
    }

    /// - Throws: `BenchError` if the package or the golden pack cannot be read.
    public init(_ options: Options) throws {
        self.options = options
        package = try ModelPackage(URL(fileURLWithPath: options.packagePath))
        pack = try options.golden.map { try GoldenPack(folder: URL(fileURLWithPath: $0)) }
    }

    /// Returns a record without figures.
    ///
    /// - Parameters:
    ///   - failure: Why there are none.
    ///   - metadata: The package's metadata, if it is loaded.
    public func blank(failure: String, metadata: SelfDescription? = nil) -> Record {
        let file = package.place.lastPathComponent
        let metadata = metadata ?? package.selfDescription
        let delegate = Delegate(asked: options.computeUnit.rawValue)
        let system = Device.system()
        var record = Record(
            source: Device.source,
            artifact: Artifact(
                model: metadata?.model ?? pack?.model ?? "unknown",
                file: file,
                format: package.isCoreAI ? "coreai" : "coreml",
                precision: metadata?.precision ?? "unknown",
                sha256: package.sha256,
                fileBytes: package.bytes
            ),
            machine: Device.machine(),
            runtime: package.isCoreAI
                ? Runtime(coreAI: system, delegate: delegate)
                : Runtime(coreML: system, delegate: delegate),
            failure: failure
        )
        record.takenAt = ISO8601DateFormatter().string(from: Date())
        return record
    }

    /// Measures the package.
    ///
    /// - Throws: `BenchError` if the model cannot be run.
    public func run() async throws -> Outcome {
        if package.isCoreAI { return try await runCoreAI() }
        let footprint = Footprint()
        let compiled = try await CompiledModel(package.place)
        defer { compiled.remove() }
        var measured = try measure(compiled, footprint)
        // After the timed runs, since reading the plan loads the model again.
        let plan = await ComputePlan.read(compiled.place, unit: options.computeUnit)
        measured.runtime.delegate = Delegate(asked: options.computeUnit, plan: plan)
        measured.unknown = ["profile": "Core ML reports no time per op"]
        if plan == nil { measured.unknown?["ops_by_unit"] = ComputePlan.needs }
        return Outcome(record: measured, placement: plan)
    }

    private func measure(_ compiled: CompiledModel, _ footprint: Footprint) throws -> Record {
        let unit = options.computeUnit
        let loadColdMs = try autoreleasepool {
            try Stopwatch.time { try compiled.load(unit) }.ms
        }
        let (model, loadWarmMs) = try Stopwatch.time { try compiled.load(unit) }
        let inputs = Inputs(of: model, file: package.place.lastPathComponent)
        let timing = Timing(
            model: model, inputs: try pack.map { try inputs.golden($0) } ?? inputs.grey())

        let warmupMs = try timing.run(options.warmup)
        let before = Device.thermal()
        let wall = WallClock()
        let samplesMs = try timing.run(options.runs)
        let elapsedS = wall.elapsedS
        let after = Device.thermal()

        var record = blank(failure: "", metadata: model.selfDescription)
        record.failure = nil
        record.latency = Latency(
            samplesMs: samplesMs, warmupRuns: warmupMs.count, elapsedS: elapsedS)
        record.startup = Startup(
            compileMs: compiled.compileMs, loadColdMs: loadColdMs, loadWarmMs: loadWarmMs,
            firstInferenceMs: warmupMs[0])
        record.memory = footprint.memory()
        record.conditions = Conditions(
            lowPowerMode: Device.lowPowerMode(), before: before, after: after)
        record.outputError = try pack.map { pack in
            try OutputAccuracy(
                answers: try timing.answers(pack.outputs.keys.sorted()), pack: pack,
                file: package.place.lastPathComponent)
        }
        return record
    }
}
#endif
