import XCTest

@testable import BenchCore

final class GoldenPackTests: XCTestCase {
    func testReadsTheFilesOfPython() throws {
        let pack = try GoldenPack(folder: Fixture.place("golden"))
        XCTAssertEqual(pack.model, "c3ae")
        XCTAssertEqual(pack.unit, "years")
        XCTAssertEqual(pack.samples, ["one", "two"])
        XCTAssertEqual(pack.outputs, ["age": [31.5, 64.25]])
        XCTAssertEqual(pack.tolerances, ["c3ae_float16.mlpackage": 0.1])
    }

    func testTensorsAgreeWithPython() throws {
        let pack = try GoldenPack(folder: Fixture.place("golden"))
        let images = try XCTUnwrap(pack.images["face"])
        let expected = StoredArray(
            name: nil, file: "expected.nchw.f32", shape: [2, 18], dtype: "float32")
        let values = try expected.floats(in: Fixture.place("golden"), shape: [2, 18])
        for sample in 0..<2 {
            let first = pack.tensor(images, sample: sample, channelsFirst: true)
            XCTAssertEqual(first, Array(values[sample * 18..<(sample + 1) * 18]))
            let last = pack.tensor(images, sample: sample, channelsFirst: false)
            XCTAssertEqual(last[0], first[0])
            XCTAssertEqual(last[1], first[6])
        }
    }

    func testTheErrorIsTheLargestOfTheSamples() throws {
        let pack = try GoldenPack(folder: Fixture.place("golden"))
        let error = try OutputAccuracy(
            answers: ["age": [31.25, 64.75]], pack: pack, file: "c3ae_float16.mlpackage")
        XCTAssertEqual(error.maxError, 0.5)
        XCTAssertEqual(error.meanError, 0.375)
        XCTAssertEqual(error.tolerance, 0.1)
        XCTAssertEqual(error.notFinite, 0)
    }

    func testTheErrorIsUnknownIfAnOutputIsNotFinite() throws {
        let pack = try GoldenPack(folder: Fixture.place("golden"))
        let error = try OutputAccuracy(answers: ["age": [.nan, 64]], pack: pack, file: "other")
        XCTAssertEqual(error.notFinite, 1)
        XCTAssertNil(error.maxError)
        XCTAssertNil(error.meanError)
        XCTAssertNil(error.tolerance)
    }

    func testRefusesAMissingOutput() throws {
        let pack = try GoldenPack(folder: Fixture.place("golden"))
        XCTAssertThrowsError(try OutputAccuracy(answers: [:], pack: pack, file: "x"))
        XCTAssertThrowsError(try OutputAccuracy(answers: ["age": [1]], pack: pack, file: "x"))
    }

    func testRefusesATruncatedArray() throws {
        let folder = try Fixture.goldenCopy()
        try Data([0]).write(to: folder.appendingPathComponent("age.f32"))
        XCTAssertThrowsError(try GoldenPack(folder: folder)) { error in
            XCTAssertEqual(
                error as? BenchError,
                .brokenGoldenPack(file: "age.f32", why: "1 bytes, not 8"))
        }
    }

    func testRefusesAnArrayOfAnotherShape() throws {
        try expectBroken(replacing: "[\n        2\n      ]", with: "[3]")
        try expectBroken(replacing: "face.u8", with: "../face.u8")
        try expectBroken(replacing: "\"schema_version\": 1", with: "\"schema_version\": 2")
        try expectBroken(replacing: "years", with: "decades")
    }

    func testRefusesAnInfiniteValue() throws {
        let folder = try Fixture.goldenCopy()
        let infinity: [UInt8] = [0, 0, 0x80, 0x7f]
        try Data(infinity + infinity).write(to: folder.appendingPathComponent("age.f32"))
        XCTAssertThrowsError(try GoldenPack(folder: folder))
    }

    private func expectBroken(replacing old: String, with new: String) throws {
        let folder = try Fixture.goldenCopy()
        let place = folder.appendingPathComponent("golden.json")
        let text = try String(contentsOf: place, encoding: .utf8)
        let broken = text.replacingOccurrences(of: old, with: new)
        XCTAssertNotEqual(broken, text)
        try Data(broken.utf8).write(to: place)
        XCTAssertThrowsError(try GoldenPack(folder: folder))
    }
}
