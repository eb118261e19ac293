import Dispatch
import Foundation

/// Does something if it is not let go in time: Core ML has been seen to hang where a compute unit
/// is there in name only.
public final class Watchdog {
    private let timer: DispatchSourceTimer

    /// - Parameters:
    ///   - seconds: Until then.
    ///   - bite: What to do; on a thread of its own, as the main one hangs.
    public init(seconds: Int, bite: @escaping @Sendable () -> Void) {
        timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
        timer.schedule(deadline: .now() + .seconds(seconds))
        timer.setEventHandler(handler: bite)
        timer.activate()
    }

    /// All went well.
    public func letGo() {
        timer.cancel()
    }
}
