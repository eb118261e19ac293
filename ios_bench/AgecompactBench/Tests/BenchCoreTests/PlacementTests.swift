import XCTest

@testable import BenchCore

final class PlacementTests: XCTestCase {
    private func op(_ unit: String, _ kind: String = "ios16.conv") -> OpPlacement {
        OpPlacement(name: "x", kind: kind, unit: unit, supported: [unit], costShare: nil)
    }

    func testTheNeuralEngineRanIfItTookAnOp() {
        let plan = [op("neuralEngine"), op("cpu", "ios16.cast"), op("cpu", "ios16.cast")]
        let delegate = Delegate(asked: .cpuAndNeuralEngine, plan: plan)
        XCTAssertEqual(delegate.got, "cpuAndNeuralEngine")
        XCTAssertEqual(delegate.opsByUnit, ["cpu": 2, "neuralEngine": 1])
        XCTAssertEqual(delegate.fallbackOps, ["ios16.cast": 2])
    }

    func testAUnitThatTookNothingDidNotRun() {
        XCTAssertEqual(Delegate(asked: .cpuAndNeuralEngine, plan: [op("cpu")]).got, "cpuOnly")
        XCTAssertEqual(Delegate(asked: .cpuAndGPU, plan: [op("cpu")]).got, "cpuOnly")
    }

    func testAllAcceptsAnyPlacement() {
        let delegate = Delegate(asked: .all, plan: [op("cpu")])
        XCTAssertEqual(delegate.got, "all")
        XCTAssertEqual(delegate.opsByUnit, ["cpu": 1])
    }

    func testWithoutAPlanOnlyTheCPUIsKnown() {
        XCTAssertEqual(Delegate(asked: .cpuOnly, plan: nil).got, "cpuOnly")
        for unit in [ComputeUnit.cpuAndGPU, .cpuAndNeuralEngine, .all] {
            let delegate = Delegate(asked: unit, plan: nil)
            XCTAssertNil(delegate.got)
            XCTAssertNil(delegate.opsByUnit)
            XCTAssertNil(delegate.fallbackOps)
        }
    }

    func testCPUOnlyReportsOtherUnits() {
        XCTAssertEqual(Delegate(asked: .cpuOnly, plan: [op("gpu"), op("cpu")]).got, "gpu")
        XCTAssertNil(Delegate(asked: .cpuOnly, plan: [op("cpu")]).fallbackOps)
    }
}
