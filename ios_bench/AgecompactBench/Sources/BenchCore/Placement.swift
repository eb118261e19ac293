import Foundation

/// The compute unit of one op in Core ML's compute plan: what Core ML intends, not a trace.
public struct OpPlacement: Codable, Equatable, Sendable {
    /// Name of the op's first output.
    public let name: String
    /// The operator, such as `ios16.conv`.
    public let kind: String
    /// `cpu`, `gpu` or `neuralEngine`.
    public let unit: String
    /// The units that could run it.
    public let supported: [String]
    /// Its share of the model's cost, 0 to 1; nil if unknown.
    public let costShare: Double?

    enum CodingKeys: String, CodingKey {
        case name
        case kind
        case unit
        case supported
        case costShare = "cost_share"
    }

    public init(name: String, kind: String, unit: String, supported: [String], costShare: Double?) {
        self.name = name
        self.kind = kind
        self.unit = unit
        self.supported = supported
        self.costShare = costShare
    }
}

extension Delegate {
    /// The compute units that were requested, and those that the plan uses.
    ///
    /// - Parameters:
    ///   - asked: The requested compute units.
    ///   - plan: The compute unit of each op; nil if the system does not report it.
    public init(asked: ComputeUnit, plan: [OpPlacement]?) {
        let byUnit = plan.map { ops in
            Dictionary(ops.map { ($0.unit, 1) }, uniquingKeysWith: +)
        }
        self.init(
            asked: asked.rawValue,
            got: Delegate.got(asked, byUnit: byUnit),
            fallbackOps: plan.flatMap { Delegate.fallback(asked, $0) },
            opsByUnit: byUnit
        )
    }

    private static func got(_ asked: ComputeUnit, byUnit: [String: Int]?) -> String? {
        guard let byUnit else {
            // Only this one leaves Core ML no choice.
            return asked == .cpuOnly ? asked.rawValue : nil
        }
        switch asked {
        case .cpuOnly:
            let elsewhere = byUnit.keys.filter { $0 != "cpu" }.sorted()
            return elsewhere.isEmpty ? asked.rawValue : elsewhere.joined(separator: "+")
        case .cpuAndGPU:
            return byUnit["gpu"] == nil ? ComputeUnit.cpuOnly.rawValue : asked.rawValue
        case .cpuAndNeuralEngine:
            return byUnit["neuralEngine"] == nil ? ComputeUnit.cpuOnly.rawValue : asked.rawValue
        case .all:
            // Any placement was requested; `opsByUnit` shows which one it is.
            return asked.rawValue
        }
    }

    private static func fallback(_ asked: ComputeUnit, _ plan: [OpPlacement]) -> [String: Int]? {
        guard asked != .cpuOnly else { return nil }
        let left = plan.filter { $0.unit == "cpu" }
        return Dictionary(left.map { ($0.kind, 1) }, uniquingKeysWith: +)
    }
}
