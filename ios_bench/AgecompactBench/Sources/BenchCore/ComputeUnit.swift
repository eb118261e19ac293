import Foundation

/// What Core ML may compute on, by its own names.
public enum ComputeUnit: String, CaseIterable, Sendable {
    case cpuOnly
    case cpuAndGPU
    case cpuAndNeuralEngine
    case all
}
