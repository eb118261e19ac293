import XCTest

@testable import BenchCore

final class PlacementTests: XCTestCase {
    private func op(_ unit: String, _ kind: String = "ios16.conv") -> OpPlacement {
        OpPlacement(name: "x", kind: kind, unit: unit, supported: [unit], costShare: nil)
    }

    func testTheNeuralEngineWasUsedIfItTookAnOp() {
        let plan = [op("neuralEngine"), op("cpu", "ios16.cast"), op("cpu", "ios16.cast")]
        let told = Delegate(asked: .cpuAndNeuralEngine, plan: plan)
        XCTAssertEqual(told.got, "cpuAndNeuralEngine")
        XCTAssertEqual(told.opsByUnit, ["cpu": 2, "neuralEngine": 1])
        XCTAssertEqual(told.fallbackOps, ["ios16.cast": 2])
    }

    func testAUnitThatTookNothingWasNotUsed() {
        XCTAssertEqual(Delegate(asked: .cpuAndNeuralEngine, plan: [op("cpu")]).got, "cpuOnly")
        XCTAssertEqual(Delegate(asked: .cpuAndGPU, plan: [op("cpu")]).got, "cpuOnly")
    }

    func testAllTakesWhatCoreMLChooses() {
        let told = Delegate(asked: .all, plan: [op("cpu")])
        XCTAssertEqual(told.got, "all")
        XCTAssertEqual(told.opsByUnit, ["cpu": 1])
    }

    func testWithoutAPlanOnlyTheCPUIsSure() {
        XCTAssertEqual(Delegate(asked: .cpuOnly, plan: nil).got, "cpuOnly")
        for unit in [ComputeUnit.cpuAndGPU, .cpuAndNeuralEngine, .all] {
            let told = Delegate(asked: unit, plan: nil)
            XCTAssertNil(told.got)
            XCTAssertNil(told.opsByUnit)
            XCTAssertNil(told.fallbackOps)
        }
    }

    func testCPUOnlyThatRanElsewhereSaysWhere() {
        XCTAssertEqual(Delegate(asked: .cpuOnly, plan: [op("gpu"), op("cpu")]).got, "gpu")
        XCTAssertNil(Delegate(asked: .cpuOnly, plan: [op("cpu")]).fallbackOps)
    }
}
