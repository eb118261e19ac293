// swift-tools-version: 5.9

import PackageDescription

let package = Package(
    name: "AgecompactBench",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "BenchCore", targets: ["BenchCore"]),
        .library(name: "BenchCoreML", targets: ["BenchCoreML"]),
        .executable(name: "agecompact-bench", targets: ["agecompact-bench"]),
    ],
    targets: [
        .target(name: "BenchCore"),
        .target(name: "BenchCoreML", dependencies: ["BenchCore"]),
        .executableTarget(name: "agecompact-bench", dependencies: ["BenchCore", "BenchCoreML"]),
        .testTarget(
            name: "BenchCoreTests",
            dependencies: ["BenchCore"],
            resources: [.copy("Fixtures")]
        ),
        .testTarget(
            name: "BenchPerformanceTests",
            dependencies: ["BenchCore", "BenchCoreML"]
        ),
    ]
)
