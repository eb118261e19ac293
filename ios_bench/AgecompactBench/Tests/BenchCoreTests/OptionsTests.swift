import XCTest

@testable import BenchCore

final class OptionsTests: XCTestCase {
    func testReadsEveryOption() throws {
        let options = try Options([
            "m.mlpackage", "--out", "o.json", "--golden", "g", "--compute-unit", "cpuAndGPU",
            "--runs", "5", "--warmup", "2", "--timeout", "9", "--placement", "p.json",
        ])
        XCTAssertEqual(options.packagePath, "m.mlpackage")
        XCTAssertEqual(options.out, "o.json")
        XCTAssertEqual(options.golden, "g")
        XCTAssertEqual(options.computeUnit, .cpuAndGPU)
        XCTAssertEqual([options.runs, options.warmup, options.timeoutS], [5, 2, 9])
        XCTAssertEqual(options.placement, "p.json")
    }

    func testRefusesInvalidArguments() {
        let wrong = [
            [], ["m.mlpackage"], ["m", "--out"], ["m", "--out", "o", "--runs", "0"],
            ["m", "--out", "o", "--compute-unit", "ane"], ["m", "n", "--out", "o"],
            ["m", "--out", "o", "--gpu"], ["m", "--out", "o", "--timeout", "soon"],
        ]
        for arguments in wrong {
            XCTAssertThrowsError(try Options(arguments)) { error in
                XCTAssertEqual((error as? BenchError)?.exitCode, 2)
            }
        }
    }

    func testAnErrorHasACauseAndAFix() {
        let report = BenchError.noCoreML.report
        XCTAssertEqual(report.split(separator: "\n").count, 3)
        XCTAssertEqual(BenchError.noCoreML.exitCode, 3)
        let error = BenchError.failedPrediction(why: "no")
        XCTAssertEqual(oneLine(error), "the Core ML prediction failed: no")
    }

    func testTheWatchdogActsInTimeUnlessStopped() {
        let bitten = expectation(description: "bitten")
        let late = Watchdog(seconds: 1) { bitten.fulfill() }
        let calm = Watchdog(seconds: 1) { XCTFail("it was stopped") }
        calm.letGo()
        wait(for: [bitten], timeout: 10)
        late.letGo()
        Thread.sleep(forTimeInterval: 0.3)
    }
}
