import BenchCoreML
import Foundation
import SwiftUI
import UIKit

/// `agecompact-bench` on a device: measures the package in its arguments, relative to the app's
/// folder, and exits with the command's exit code.
@main
struct AgecompactApp: App {
    private let arguments = Array(CommandLine.arguments.dropFirst())

    var body: some Scene {
        WindowGroup {
            // Started only when there is a window, since the system gives background apps less of
            // the processor.
            Text(arguments.isEmpty ? "Start this app with: agecompact bench --on ios" : "Measuring…")
                .padding()
                .task { await measure() }
        }
    }

    @MainActor
    private func measure() async {
        guard let package = arguments.first else { return }
        UIApplication.shared.isIdleTimerDisabled = true
        FileManager.default.changeCurrentDirectoryPath(NSHomeDirectory())
        Jobs.removeAll(but: package)
        let arguments = arguments
        exit(await Task.detached { await Command.run(arguments) }.value)
    }
}

/// Folders that the driver left in `Documents`, one per run.
private enum Jobs {
    private static let folder = "Documents"
    private static let prefix = "agecompact-"

    /// Removes all but the folder that holds the package.
    static func removeAll(but package: String) {
        let files = FileManager.default
        for name in (try? files.contentsOfDirectory(atPath: folder)) ?? [] {
            let job = "\(folder)/\(name)"
            guard name.hasPrefix(prefix), !package.hasPrefix("\(job)/") else { continue }
            try? files.removeItem(atPath: job)
        }
    }
}
