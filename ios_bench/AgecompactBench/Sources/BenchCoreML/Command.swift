import BenchCore
import Foundation

/// The command, both in a Mac's terminal and in the app on a device.
public enum Command {
    /// Runs the command.
    ///
    /// - Parameter arguments: The arguments without the program's name.
    /// - Returns: The exit code: 0 measured, 1 not measured or beyond tolerance, 2 usage, 3 no
    ///   Core ML.
    public static func run(_ arguments: [String]) async -> Int32 {
        do {
            let options = try Options(arguments)
            if options.helpOnly {
                print(Options.help)
                return 0
            }
            return try await execute(options)
        } catch {
            return fail(error)
        }
    }

    private static func fail(_ error: Error) -> Int32 {
        let known = error as? BenchError
        say(known?.report ?? "error: \(oneLine(error))")
        return known?.exitCode ?? 1
    }

    private static func say(_ text: String) {
        FileHandle.standardError.write(Data("\(text)\n".utf8))
    }

    #if canImport(CoreML)
    private static func execute(_ options: Options) async throws -> Int32 {
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
            // The hanging thread holds locks that a regular exit would wait for.
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
        guard let maxError = error.maxError else { return 1 }
        return maxError <= error.tolerance ?? .infinity ? 0 : 1
    }
    #else
    private static func execute(_ options: Options) async throws -> Int32 {
        throw BenchError.noCoreML
    }
    #endif
}
