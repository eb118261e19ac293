// swift-tools-version: 5.9

import PackageDescription

let package = Package(
    name: "FaceModel",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "FaceModel", targets: ["FaceModel"])],
    targets: [
        // Copied, not processed: it is compiled on the device, whoever builds the package.
        .target(name: "FaceModel", resources: [.copy("Model")]),
        .testTarget(
            name: "FaceModelTests", dependencies: ["FaceModel"], resources: [.copy("Golden")]),
    ]
)
