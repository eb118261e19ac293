import Foundation

/// The machine that ran the artefact; times of different machines are not comparable.
public struct Machine: Codable, Equatable, Sendable {
    public var cpu: String
    public var os: String
    public var name: String?
    public var soc: String?
    public var abi: String?
    public var cores: Int?
    public var osBuild: String?
    public var emulator: String?

    enum CodingKeys: String, CodingKey {
        case cpu
        case os
        case name
        case soc
        case abi
        case cores
        case osBuild = "os_build"
        case emulator
    }

    public init(
        cpu: String, os: String, name: String?, soc: String?, abi: String?, cores: Int?,
        osBuild: String?
    ) {
        self.cpu = cpu
        self.os = os
        self.name = name
        self.soc = soc
        self.abi = abi
        self.cores = cores
        self.osBuild = osBuild
    }
}

/// State of the machine during the measurement.
public struct Conditions: Codable, Equatable, Sendable {
    public var governor: String?
    public var maxFrequencyMHz: Double?
    public var lowPowerMode: Bool?
    public var loadAverage: Double?
    public var before: Thermal?
    public var after: Thermal?

    enum CodingKeys: String, CodingKey {
        case governor
        case maxFrequencyMHz = "max_frequency_mhz"
        case lowPowerMode = "low_power_mode"
        case loadAverage = "load_average"
        case before
        case after
    }

    public init(lowPowerMode: Bool?, before: Thermal?, after: Thermal?) {
        self.lowPowerMode = lowPowerMode
        self.before = before
        self.after = after
    }
}

/// Temperature and clock of the machine at one moment.
public struct Thermal: Codable, Equatable, Sendable {
    public var status: ThermalStatus?
    public var batteryTemperatureC: Double?
    public var cpuTemperatureC: Double?
    public var cpuFrequencyMHz: Double?

    enum CodingKeys: String, CodingKey {
        case status
        case batteryTemperatureC = "battery_temperature_c"
        case cpuTemperatureC = "cpu_temperature_c"
        case cpuFrequencyMHz = "cpu_frequency_mhz"
    }

    public init(status: ThermalStatus?) {
        self.status = status
    }
}

/// The thermal status: Android's names, then Apple's.
public enum ThermalStatus: String, Codable, Equatable, Sendable {
    case none
    case light
    case moderate
    case severe
    case critical
    case emergency
    case shutdown
    case nominal
    case fair
    case serious
}
