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

    func testStatisticsAgreeWithPython() throws {
        for expected in try Fixture.decode(Expected.self, "statistics.json").cases {
            let summary = try XCTUnwrap(Statistics(expected.samples))
            let pairs = [
                (summary.p50, expected.p50), (summary.p90, expected.p90), (summary.p99, expected.p99),
                (summary.mean, expected.mean), (summary.least, expected.min),
                (summary.greatest, expected.max),
            ]
            for (actual, wanted) in pairs {
                XCTAssertEqual(actual, wanted, accuracy: 1e-12 * abs(wanted))
            }
            XCTAssertEqual(summary.standardDeviation == nil, expected.std == nil)
            if let actual = summary.standardDeviation, let wanted = expected.std {
                XCTAssertEqual(actual, wanted, accuracy: 1e-12 + 1e-9 * wanted)
            }
        }
    }

    func testNoSamplesGiveNoStatistics() {
        XCTAssertNil(Statistics([]))
        XCTAssertNil(Latency(samplesMs: [], warmupRuns: 1, elapsedS: nil))
    }

    func testTheMeanIsBetweenTheSamples() throws {
        let summary = try XCTUnwrap(Statistics([Double](repeating: 0.1, count: 3)))
        XCTAssertEqual(summary.mean, 0.1)
    }

    func testLatencyCountsItsSamples() throws {
        let latency = try XCTUnwrap(Latency(samplesMs: [2, 1, 3], warmupRuns: 10, elapsedS: 0.1))
        XCTAssertEqual(latency.timedRuns, 3)
        XCTAssertEqual(latency.warmupRuns, 10)
        XCTAssertEqual(latency.samplesMs, [2, 1, 3])
        XCTAssertEqual(latency.p50Ms, 2)
    }

    func testAStopwatchNeverShowsZero() {
        XCTAssertGreaterThan(Stopwatch().elapsedMs, 0)
        let wall = WallClock()
        let (_, ms) = Stopwatch.time { Thread.sleep(forTimeInterval: 0.02) }
        XCTAssertGreaterThanOrEqual(ms, 20)
        XCTAssertGreaterThanOrEqual(wall.elapsedS * 1e3, ms * 0.99)
    }
}
