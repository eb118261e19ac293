import Dispatch
import Foundation

/// A monotonic clock that stops while the machine sleeps: `mach_absolute_time` on Apple's systems,
/// about 25 ns per reading.
public struct Stopwatch {
    private let startedNs: UInt64

    public init() {
        startedNs = DispatchTime.now().uptimeNanoseconds
    }

    /// Time since it was created, ms; at least 1 ns, since no time is 0.
    public var elapsedMs: Double {
        Double(max(DispatchTime.now().uptimeNanoseconds - startedNs, 1)) / 1e6
    }

    /// Returns the value of some work and its duration, ms.
    public static func time<T>(_ work: () throws -> T) rethrows -> (T, ms: Double) {
        let watch = Stopwatch()
        let value = try work()
        return (value, watch.elapsedMs)
    }
}

/// A second clock, which does not stop during sleep, to check the samples of `Stopwatch`.
public struct WallClock {
    private let clock = ContinuousClock()
    private let started: ContinuousClock.Instant

    public init() {
        started = clock.now
    }

    /// Time since it was created, s.
    public var elapsedS: Double {
        let (seconds, attoseconds) = started.duration(to: clock.now).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
