import Foundation

/// The compute units that Core ML may use, by its own names.
public enum ComputeUnit: String, CaseIterable, Sendable {
    case cpuOnly
    case cpuAndGPU
    case cpuAndNeuralEngine
    case all
}
