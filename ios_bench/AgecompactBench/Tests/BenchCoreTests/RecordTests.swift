import XCTest

@testable import BenchCore

final class RecordTests: XCTestCase {
    func testReadsTheFilesOfPython() throws {
        let file = try RecordFile(contentsOf: Fixture.place("latency.json"))
        XCTAssertEqual(file.records.count, 2)
        let record = file.records[0]
        XCTAssertEqual(record.source, .device)
        XCTAssertEqual(record.artifact.size?.deflatedBytes, 90000)
        XCTAssertEqual(record.runtime.delegate?.opsByUnit, ["cpu": 2, "neuralEngine": 31])
        XCTAssertEqual(record.latency?.samplesMs, [0.5, 0.25, 0.75, 1.0, 0.375])
        XCTAssertEqual(record.conditions?.after?.status, .serious)
        XCTAssertEqual(record.outputError?.maxError, 0.0625)
        XCTAssertEqual(record.reasons.map(\.rule), ["low-power"])
        XCTAssertEqual(file.records[1].failure, "no answer within 300 s")
        XCTAssertNil(file.records[1].latency)
    }

    func testLatencyAgreesWithPython() throws {
        let expected = try XCTUnwrap(
            RecordFile(contentsOf: Fixture.place("latency.json")).records[0].latency)
        let latency = try XCTUnwrap(
            Latency(samplesMs: expected.samplesMs ?? [], warmupRuns: 10, elapsedS: 0.003))
        XCTAssertEqual(latency, expected)
    }

    func testReadsBackUnchanged() throws {
        let file = try RecordFile(contentsOf: Fixture.place("latency.json"))
        let place = FileManager.default.temporaryDirectory
            .appendingPathComponent("agecompact-\(UUID().uuidString)/deep/latency.json")
        try file.write(to: place)
        XCTAssertEqual(try RecordFile(contentsOf: place), file)
        // Python's tests read this file.
        if let keep = ProcessInfo.processInfo.environment["AGECOMPACT_KEEP_RECORD"] {
            try file.write(to: URL(fileURLWithPath: keep))
        }
    }

    func testWritesSnakeCaseAndOmitsUnknownFigures() throws {
        let record = try RecordFile(contentsOf: Fixture.place("latency.json")).records[1]
        let text = String(decoding: try canonicalJSON(record), as: UTF8.self)
        XCTAssertTrue(text.contains("\"file_bytes\" : 108128"))
        XCTAssertFalse(text.contains("latency"))
        XCTAssertFalse(text.contains("null"))
        XCTAssertTrue(text.hasSuffix("}\n"))
    }

    func testRefusesNaN() throws {
        var record = try RecordFile(contentsOf: Fixture.place("latency.json")).records[0]
        record.latency?.meanMs = .nan
        let place = FileManager.default.temporaryDirectory
            .appendingPathComponent("agecompact-\(UUID().uuidString).json")
        XCTAssertThrowsError(try RecordFile(records: [record]).write(to: place))
        XCTAssertFalse(FileManager.default.fileExists(atPath: place.path))
    }

    func testRefusesAnotherSchemaVersion() throws {
        let place = FileManager.default.temporaryDirectory
            .appendingPathComponent("agecompact-\(UUID().uuidString).json")
        try Data(#"{"schema_version": 1, "records": []}"#.utf8).write(to: place)
        XCTAssertThrowsError(try RecordFile(contentsOf: place)) { error in
            XCTAssertTrue("\((error as? BenchError)?.report ?? "")".contains("schema version 1"))
        }
    }

    func testNotesListWhatMakesARecordInvalid() throws {
        var record = try RecordFile(contentsOf: Fixture.place("latency.json")).records[0]
        let notes = Validity.notes(record)
        XCTAssertTrue(notes.contains("5 timed runs, at least 30 needed"))
        XCTAssertTrue(notes.contains("thermal state 'serious' after the run"))
        XCTAssertTrue(notes.contains("the device was in low-power mode"))
        XCTAssertTrue(notes.contains { $0.hasPrefix("p90 is") })
        record.outputError?.maxError = 0.2
        XCTAssertTrue(Validity.notes(record).contains("an error of 0.2 years, at most 0.1 allowed"))
        record.failure = "it hung"
        XCTAssertEqual(Validity.notes(record), ["nothing was measured: it hung"])
    }
}
