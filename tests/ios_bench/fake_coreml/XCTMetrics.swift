// What XCTest lacks on Linux, compiled into the tests themselves; see CoreML.swift.
import XCTest

protocol XCTMetric {}
struct XCTClockMetric: XCTMetric {}
struct XCTCPUMetric: XCTMetric {}
struct XCTMemoryMetric: XCTMetric {}

extension XCTestCase {
    func measure(metrics: [XCTMetric], block: () -> Void) {}
}
