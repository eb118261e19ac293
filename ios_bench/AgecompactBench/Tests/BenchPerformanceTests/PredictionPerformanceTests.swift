import XCTest

@testable import BenchCore
@testable import BenchCoreML

/// XCTest's own figures of a prediction: only average and deviation. `agecompact-bench` writes the
/// record with every sample.
///
/// `AGECOMPACT_PACKAGE` is the package, `AGECOMPACT_GOLDEN` its golden pack and
/// `AGECOMPACT_COMPUTE_UNIT` the compute unit (`cpuOnly` if unset); for `xcodebuild test`, each with
/// the prefix `TEST_RUNNER_`.
final class PredictionPerformanceTests: XCTestCase {
    #if canImport(CoreML)
    private static let predictions = 20

    func testPrediction() async throws {
        let timing = try await prepared()
        _ = try timing.run(Self.predictions)
        measure(metrics: [XCTClockMetric(), XCTCPUMetric(), XCTMemoryMetric()]) {
            do {
                _ = try timing.run(Self.predictions)
            } catch {
                XCTFail(oneLine(error))
            }
        }
    }

    func testLoad() async throws {
        let unit = try Self.unit()
        let compiled = try await CompiledModel(try Self.place("AGECOMPACT_PACKAGE"))
        defer { compiled.remove() }
        measure(metrics: [XCTClockMetric(), XCTMemoryMetric()]) {
            do {
                _ = try compiled.load(unit)
            } catch {
                XCTFail(oneLine(error))
            }
        }
    }

    func testOutputsAreWithinTheirTolerance() async throws {
        let package = try Self.place("AGECOMPACT_PACKAGE")
        let pack = try GoldenPack(folder: try Self.place("AGECOMPACT_GOLDEN"))
        let timing = try await prepared()
        let error = try OutputAccuracy(
            answers: try timing.answers(pack.outputs.keys.sorted()), pack: pack,
            file: package.lastPathComponent)
        let tolerance = try XCTUnwrap(error.tolerance)
        XCTAssertLessThanOrEqual(try XCTUnwrap(error.maxError), tolerance)
    }

    private func prepared() async throws -> Timing {
        let package = try Self.place("AGECOMPACT_PACKAGE")
        let pack = try GoldenPack(folder: try Self.place("AGECOMPACT_GOLDEN"))
        let compiled = try await CompiledModel(package)
        addTeardownBlock { compiled.remove() }
        let model = try compiled.load(try Self.unit())
        let inputs = Inputs(of: model, file: package.lastPathComponent)
        return Timing(model: model, inputs: try inputs.golden(pack))
    }

    private static func place(_ variable: String) throws -> URL {
        guard let path = ProcessInfo.processInfo.environment[variable], !path.isEmpty else {
            throw XCTSkip("\(variable) is not set")
        }
        return URL(fileURLWithPath: path)
    }

    private static func unit() throws -> ComputeUnit {
        let name = ProcessInfo.processInfo.environment["AGECOMPACT_COMPUTE_UNIT"] ?? "cpuOnly"
        return try XCTUnwrap(ComputeUnit(rawValue: name), "unknown compute unit '\(name)'")
    }
    #else
    func testPrediction() throws {
        throw XCTSkip("this system has no Core ML")
    }
    #endif
}
