import XCTest

@testable import BenchCore

final class StatisticsTests: XCTestCase {
    private struct Expected: Decodable {
        struct Case: Decodable {
            let samples: [Double]
            let p50: Double
            let p90: Double
            let p99: Double
            let mean: Double
            let std: Double?
            let min: Double
            let max: Double
        }

        let cases: [Case]
    }

    func testFiguresAreThoseOfPython() throws {
        for expected in try Fixture.decode(Expected.self, "statistics.json").cases {
            let told = try XCTUnwrap(Statistics(expected.samples))
            let pairs = [
                (told.p50, expected.p50), (told.p90, expected.p90), (told.p99, expected.p99),
                (told.mean, expected.mean), (told.least, expected.min),
                (told.greatest, expected.max),
            ]
            for (mine, theirs) in pairs {
                XCTAssertEqual(mine, theirs, accuracy: 1e-12 * abs(theirs))
            }
            XCTAssertEqual(told.standardDeviation == nil, expected.std == nil)
            if let mine = told.standardDeviation, let theirs = expected.std {
                XCTAssertEqual(mine, theirs, accuracy: 1e-12 + 1e-9 * theirs)
            }
        }
    }

    func testNoSamplesTellNothing() {
        XCTAssertNil(Statistics([]))
        XCTAssertNil(Latency(samplesMs: [], warmupRuns: 1, elapsedS: nil))
    }

    func testAMeanLiesBetweenItsSamples() throws {
        let told = try XCTUnwrap(Statistics([Double](repeating: 0.1, count: 3)))
        XCTAssertEqual(told.mean, 0.1)
    }

    func testLatencyCountsItsSamples() throws {
        let latency = try XCTUnwrap(Latency(samplesMs: [2, 1, 3], warmupRuns: 10, elapsedS: 0.1))
        XCTAssertEqual(latency.timedRuns, 3)
        XCTAssertEqual(latency.warmupRuns, 10)
        XCTAssertEqual(latency.samplesMs, [2, 1, 3])
        XCTAssertEqual(latency.p50Ms, 2)
    }

    func testAStopwatchNeverTellsZero() {
        XCTAssertGreaterThan(Stopwatch().elapsedMs, 0)
        let wall = WallClock()
        let (_, ms) = Stopwatch.time { Thread.sleep(forTimeInterval: 0.02) }
        XCTAssertGreaterThanOrEqual(ms, 20)
        XCTAssertGreaterThanOrEqual(wall.elapsedS * 1e3, ms * 0.99)
    }
}
