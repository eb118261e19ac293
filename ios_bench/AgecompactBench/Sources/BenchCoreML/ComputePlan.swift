#if canImport(CoreML)
import BenchCore
import CoreML
import Foundation

/// The compute unit on which Core ML intends to run each op.
public enum ComputePlan {
    /// Why there is no plan on an older system.
    public static let needs = "MLComputePlan needs iOS 17.4 or macOS 14.4"

    /// Returns the ops of a compiled model in order, without constants; nil if unknown.
    public static func read(_ compiled: URL, unit: ComputeUnit) async -> [OpPlacement]? {
        guard #available(iOS 17.4, macOS 14.4, *) else { return nil }
        guard
            let plan = try? await MLComputePlan.load(
                contentsOf: compiled, configuration: unit.configuration),
            case .program(let program) = plan.modelStructure
        else { return nil }
        let blocks = program.functions.values.map(\.block)
        let ops = blocks.flatMap { operations(in: $0) }.compactMap { placement(of: $0, in: plan) }
        return ops.isEmpty ? nil : ops
    }

    @available(iOS 17.4, macOS 14.4, *)
    private static func operations(
        in block: MLModelStructure.Program.Block
    ) -> [MLModelStructure.Program.Operation] {
        block.operations.flatMap { op in [op] + op.blocks.flatMap { operations(in: $0) } }
    }

    @available(iOS 17.4, macOS 14.4, *)
    private static func placement(
        of op: MLModelStructure.Program.Operation, in plan: MLComputePlan
    ) -> OpPlacement? {
        // Constants do not run and have no usage.
        guard let usage = plan.deviceUsage(for: op) else { return nil }
        return OpPlacement(
            name: op.outputs.first?.name ?? op.operatorName,
            kind: op.operatorName,
            unit: name(usage.preferred),
            supported: usage.supported.map { name($0) },
            costShare: plan.estimatedCost(of: op)?.weight
        )
    }

    @available(iOS 17.4, macOS 14.4, *)
    private static func name(_ device: MLComputeDevice) -> String {
        switch device {
        case .cpu: return "cpu"
        case .gpu: return "gpu"
        case .neuralEngine: return "neuralEngine"
        @unknown default: return "unknown"
        }
    }
}
#endif
