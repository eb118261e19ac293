import Dispatch
import Foundation

/// Runs an action unless it is stopped in time. Core ML may hang on a compute unit that the machine
/// does not really have.
public final class Watchdog {
    private let timer: DispatchSourceTimer

    /// - Parameters:
    ///   - seconds: Time limit.
    ///   - bite: The action, run on another thread, since the main one may hang.
    public init(seconds: Int, bite: @escaping @Sendable () -> Void) {
        timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
        timer.schedule(deadline: .now() + .seconds(seconds))
        timer.setEventHandler(handler: bite)
        timer.activate()
    }

    /// Stops it.
    public func letGo() {
        timer.cancel()
    }
}
