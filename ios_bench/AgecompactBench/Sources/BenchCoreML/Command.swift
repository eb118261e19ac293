import BenchCore
import Foundation

/// The command, of the Mac's terminal and of the app on a device alike.
public enum Command {
    /// Does what the arguments ask.
    ///
    /// - Parameter arguments: Without the program's name.
    /// - Returns: The exit code: 0 measured, 1 not measured or not within tolerance, 2 usage, 3 no
    ///   Core ML here.
    public static func run(_ arguments: [String]) async -> Int32 {
        do {
            let options = try Options(arguments)
            if options.helpOnly {
                print(Options.help)
                return 0
            }
            return try await obey(options)
        } catch {
            return fail(error)
        }
    }

    private static func fail(_ error: Error) -> Int32 {
        let own = error as? BenchError
        say(own?.report ?? "error: \(oneLine(error))")
        return own?.exitCode ?? 1
    }

    private static func say(_ text: String) {
        FileHandle.standardError.write(Data("\(text)\n".utf8))
    }

    #if canImport(CoreML)
    private static func obey(_ options: Options) async throws -> Int32 {
        if options.machineOnly {
            print(String(decoding: try canonicalJSON(Device.machine()), as: UTF8.self), terminator: "")
            return 0
        }
        try Device.refuseSimulator()
        let benchmark = try Benchmark(options)
        let out = URL(fileURLWithPath: options.out)
        let late = benchmark.blank(failure: "no answer within \(options.timeoutS) s")
        let watchdog = Watchdog(seconds: options.timeoutS) {
            try? RecordFile(records: [late]).write(to: out)
            say("error: no answer within \(options.timeoutS) s")
            // What hangs holds locks that an orderly exit would wait for.
            _exit(1)
        }
        do {
            let outcome = try await benchmark.run()
            watchdog.letGo()
            return try finish(outcome, options, out)
        } catch {
            watchdog.letGo()
            try RecordFile(records: [benchmark.blank(failure: oneLine(error))]).write(to: out)
            return fail(error)
        }
    }

    private static func finish(
        _ outcome: Benchmark.Outcome, _ options: Options, _ out: URL
    ) throws -> Int32 {
        try RecordFile(records: [outcome.record]).write(to: out)
        if let place = options.placement {
            try writeCanonical(outcome.placement ?? [], to: URL(fileURLWithPath: place))
        }
        for note in Validity.notes(outcome.record) { say("note: \(note)") }
        guard let error = outcome.record.outputError else { return 0 }
        guard let greatest = error.maxError else { return 1 }
        return greatest <= error.tolerance ?? .infinity ? 0 : 1
    }
    #else
    private static func obey(_ options: Options) async throws -> Int32 {
        throw BenchError.noCoreML
    }
    #endif
}
