import Foundation

/// A failure with a cause and a remedy, like Python's `AgecompactError`.
public enum BenchError: Error, Equatable, LocalizedError {
    case usage(String)
    case unreadable(file: String, why: String)
    case brokenGoldenPack(file: String, why: String)
    case noCoreML
    case noCoreAI
    case simulator
    case unsupportedModel(file: String, why: String)
    case failedPrediction(why: String)
    case unwritable(file: String, why: String)

    /// The exit code of the command: 1 gate failed, 2 usage, 3 environment missing.
    public var exitCode: Int32 {
        switch self {
        case .usage, .unreadable, .brokenGoldenPack: return 2
        case .noCoreML, .noCoreAI, .simulator, .unwritable: return 3
        case .unsupportedModel, .failedPrediction: return 1
        }
    }

    public var errorDescription: String? {
        switch self {
        case .usage(let what): return what
        case .unreadable(let file, _): return "cannot read \(file)"
        case .brokenGoldenPack(let file, _): return "\(file) is not a golden pack"
        case .noCoreML, .noCoreAI: return "nothing can be measured here"
        case .simulator: return "a simulator cannot be measured"
        case .unsupportedModel(let file, _): return "cannot measure \(file)"
        case .failedPrediction: return "the prediction failed"
        case .unwritable(let file, _): return "cannot write \(file)"
        }
    }

    public var failureReason: String? {
        switch self {
        case .usage: return nil
        case .unreadable(_, let why), .brokenGoldenPack(_, let why): return why
        case .noCoreML: return "this system has no Core ML"
        case .noCoreAI: return "this system has no Core AI, which runs .aimodel files"
        case .simulator: return "it runs on the Mac, whose times are not those of a phone"
        case .unsupportedModel(_, let why), .failedPrediction(let why): return why
        case .unwritable(_, let why): return why
        }
    }

    public var recoverySuggestion: String? {
        switch self {
        case .usage: return "agecompact-bench --help"
        case .unreadable: return "give the path of an existing file"
        case .brokenGoldenPack: return "write it again: agecompact parity freeze"
        case .noCoreML: return "run it on a Mac, an iPhone or an iPad"
        case .noCoreAI: return "build it with Xcode 27, and run it on iOS 27 or macOS 27"
        case .simulator: return "run it on a device"
        case .unsupportedModel: return "export the package again: agecompact export"
        case .failedPrediction: return "measure with --compute-unit cpuOnly"
        case .unwritable: return "choose a writable folder with --out"
        }
    }

    /// What failed, why, and the fix, one line each.
    public var report: String {
        var lines = ["error: \(errorDescription ?? "unknown")"]
        if let why = failureReason { lines.append("why: \(why)") }
        if let fix = recoverySuggestion { lines.append("fix: \(fix)") }
        return lines.joined(separator: "\n")
    }
}

/// The message of any error, on one line.
public func oneLine(_ error: Error) -> String {
    guard let own = error as? BenchError else {
        return error.localizedDescription.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
    return [own.errorDescription, own.failureReason].compactMap { $0 }.joined(separator: ": ")
}
