import XCTest

/// Files that Python wrote: `python -m tests.ios_bench.fixtures`.
enum Fixture {
    static func place(_ name: String) throws -> URL {
        let folder = try XCTUnwrap(Bundle.module.resourceURL).appendingPathComponent("Fixtures")
        return folder.appendingPathComponent(name)
    }

    static func decode<T: Decodable>(_ type: T.Type, _ name: String) throws -> T {
        try JSONDecoder().decode(type, from: Data(contentsOf: place(name)))
    }

    /// A copy of the golden pack to alter.
    static func goldenCopy() throws -> URL {
        let copy = FileManager.default.temporaryDirectory
            .appendingPathComponent("agecompact-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: place("golden"), to: copy)
        return copy
    }
}
