#if canImport(CoreML)
import BenchCore
import Darwin
import Foundation

/// What the operating system reports about this machine.
public enum Device {
    /// `device` for a phone, `host` for a Mac.
    public static var source: Source {
        #if os(macOS)
        return .host
        #else
        return .device
        #endif
    }

    /// - Throws: `BenchError.simulator`.
    public static func refuseSimulator() throws {
        #if targetEnvironment(simulator)
        throw BenchError.simulator
        #endif
    }

    /// This machine, as a record holds it.
    public static func machine() -> Machine {
        let cpu = text("machdep.cpu.brand_string")
        let hardware = text("hw.machine")
        #if os(macOS)
        // On a Mac `hw.machine` is the architecture, on a phone the product, such as `iPhone16,1`.
        let name = text("hw.model")
        #else
        let name = hardware
        #endif
        return Machine(
            cpu: cpu ?? hardware ?? "unknown",
            os: system(),
            name: name,
            soc: cpu.flatMap { $0.hasPrefix("Apple ") ? $0 : nil },
            abi: architecture(),
            cores: ProcessInfo.processInfo.activeProcessorCount,
            osBuild: text("kern.osversion")
        )
    }

    /// System and version, such as `iOS 17.5.1`. Core ML has no version of its own.
    public static func system() -> String {
        let version = ProcessInfo.processInfo.operatingSystemVersion
        let number = [version.majorVersion, version.minorVersion, version.patchVersion]
            .map(String.init).joined(separator: ".")
        #if os(macOS)
        return "macOS \(number)"
        #else
        return "iOS \(number)"
        #endif
    }

    /// The current thermal state.
    public static func thermal() -> Thermal {
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: return Thermal(status: .nominal)
        case .fair: return Thermal(status: .fair)
        case .serious: return Thermal(status: .serious)
        case .critical: return Thermal(status: .critical)
        @unknown default: return Thermal(status: nil)
        }
    }

    /// Whether low-power mode is on.
    public static func lowPowerMode() -> Bool {
        ProcessInfo.processInfo.isLowPowerModeEnabled
    }

    private static func architecture() -> String {
        #if arch(arm64)
        return "arm64"
        #else
        return "x86_64"
        #endif
    }

    private static func text(_ name: String) -> String? {
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: size)
        guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return nil }
        let value = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        return value.isEmpty ? nil : value
    }
}
#endif
