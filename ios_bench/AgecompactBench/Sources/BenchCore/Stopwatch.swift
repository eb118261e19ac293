import Dispatch
import Foundation

/// A monotonic clock that stands still while the machine sleeps: `mach_absolute_time` on Apple's
/// systems, which costs some 25 ns a reading.
public struct Stopwatch {
    private let startedNs: UInt64

    public init() {
        startedNs = DispatchTime.now().uptimeNanoseconds
    }

    /// Since it was made, ms; at least the clock's resolution, as no time is 0.
    public var elapsedMs: Double {
        Double(max(DispatchTime.now().uptimeNanoseconds - startedNs, 1)) / 1e6
    }

    /// The value of some work, and how long it took, ms.
    public static func time<T>(_ work: () throws -> T) rethrows -> (T, ms: Double) {
        let watch = Stopwatch()
        let value = try work()
        return (value, watch.elapsedMs)
    }
}

/// Another clock than `Stopwatch`'s, to hold its samples to: one that goes on through sleep.
public struct WallClock {
    private let clock = ContinuousClock()
    private let started: ContinuousClock.Instant

    public init() {
        started = clock.now
    }

    /// Since it was made, s.
    public var elapsedS: Double {
        let (seconds, attoseconds) = started.duration(to: clock.now).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
