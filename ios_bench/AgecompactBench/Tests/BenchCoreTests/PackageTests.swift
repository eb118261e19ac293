import XCTest

@testable import BenchCore

final class PackageTests: XCTestCase {
    private struct Expected: Decodable {
        let sha256: String
        let bytes: Int
    }

    func testHashesAFolderAsPythonDoes() throws {
        let expected = try Fixture.decode(Expected.self, "package.json")
        let package = try ModelPackage(Fixture.place("sample.package"))
        XCTAssertEqual(package.sha256, expected.sha256)
        XCTAssertEqual(package.bytes, expected.bytes)
    }

    func testRefusesWhatIsNotAFolder() {
        XCTAssertThrowsError(try ModelPackage(Fixture.place("package.json")))
        XCTAssertThrowsError(try ModelPackage(Fixture.place("nothing")))
    }

    func testHashesAreThoseOfTheStandard() {
        // The examples of FIPS 180-4, with lengths around the end of a block.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        let two = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        let million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        XCTAssertEqual(SHA256.hash(Data()), empty)
        XCTAssertEqual(SHA256.hash(Data("abc".utf8)), abc)
        let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        XCTAssertEqual(SHA256.hash(Data(long.utf8)), two)
        XCTAssertEqual(
            SHA256.hash(Data(repeating: UInt8(ascii: "a"), count: 1_000_000)), million)
    }

    func testReadsTheMetadataOfAPackage() throws {
        let text = #"{"model":"c3ae","precision":"float16","weights_sha256":"00","more":1,"#
            + #""contract":{"color_order":"BGR","height":64}}"#
        let metadata = try XCTUnwrap(SelfDescription(text))
        XCTAssertEqual(metadata.model, "c3ae")
        XCTAssertEqual(metadata.contract.colorOrder, .bgr)
        XCTAssertNil(SelfDescription(nil))
        XCTAssertNil(SelfDescription("{}"))
    }

    func testAnImageHasTrueColoursInAnyColourOrder() {
        let pixels: [UInt8] = [0, 0, 0, 1, 2, 3]
        XCTAssertEqual(ColorOrder.bgr.bgra(pixels[3...]), [1, 2, 3, 255])
        XCTAssertEqual(ColorOrder.rgb.bgra(pixels[3...]), [3, 2, 1, 255])
    }
}
