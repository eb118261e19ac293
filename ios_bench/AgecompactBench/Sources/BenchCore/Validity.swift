import Foundation

/// Warnings to print at once. `agecompact/bench/validity.py` validates every record, so `valid` and
/// `reasons` stay empty here.
public enum Validity {
    public static let minTimedRuns = 30
    public static let minWarmupRuns = 1
    public static let maxDeviceSpread = 0.25

    /// Returns why a record may be invalid; empty if no rule fails.
    public static func notes(_ record: Record) -> [String] {
        if let failure = record.failure { return ["nothing was measured: \(failure)"] }
        return runs(record.latency) + spread(record) + heat(record.conditions)
            + delegate(record.runtime.delegate) + output(record.outputError)
    }

    private static func runs(_ latency: Latency?) -> [String] {
        guard let latency else { return [] }
        var notes: [String] = []
        if latency.timedRuns < minTimedRuns {
            notes.append("\(latency.timedRuns) timed runs, at least \(minTimedRuns) needed")
        }
        if let warmupRuns = latency.warmupRuns, warmupRuns < minWarmupRuns {
            notes.append("no warm-up run: the first inference is among the timed ones")
        }
        return notes
    }

    private static func spread(_ record: Record) -> [String] {
        guard record.source == .device, let p50 = record.latency?.p50Ms,
            let p90 = record.latency?.p90Ms, (p90 - p50) / p50 > maxDeviceSpread
        else { return [] }
        return ["p90 is \(Int((100 * (p90 - p50) / p50).rounded())) % above the median"]
    }

    private static func heat(_ conditions: Conditions?) -> [String] {
        guard let conditions else { return [] }
        let moments = [("before", conditions.before), ("after", conditions.after)]
        var notes = moments.compactMap { when, thermal -> String? in
            guard let status = thermal?.status, ![.none, .nominal, .fair].contains(status) else {
                return nil
            }
            return "thermal state '\(status.rawValue)' \(when) the run"
        }
        if conditions.lowPowerMode == true { notes.append("the device was in low-power mode") }
        return notes
    }

    private static func delegate(_ delegate: Delegate?) -> [String] {
        guard let delegate, delegate.got != delegate.asked else { return [] }
        guard let got = delegate.got else {
            return ["asked for \(delegate.asked), but nothing shows that it ran"]
        }
        return ["asked for \(delegate.asked), got \(got)"]
    }

    private static func output(_ error: OutputAccuracy?) -> [String] {
        guard let error else { return [] }
        guard let maxError = error.maxError else {
            return ["\(error.notFinite) of \(error.samples) outputs are not finite"]
        }
        guard let tolerance = error.tolerance, maxError > tolerance else { return [] }
        return ["an error of \(maxError) \(error.unit.rawValue), at most \(tolerance) allowed"]
    }
}
