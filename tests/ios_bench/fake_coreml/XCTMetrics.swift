// What Apple's XCTest has and Linux's lacks; compiled into the tests themselves. See CoreML.swift.
import XCTest

protocol XCTMetric {}
struct XCTClockMetric: XCTMetric {}
struct XCTCPUMetric: XCTMetric {}
struct XCTMemoryMetric: XCTMetric {}

extension XCTestCase {
    func measure(metrics: [XCTMetric], block: () -> Void) {}
}
