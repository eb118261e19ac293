// A fake Core ML: the declarations that BenchCoreML uses, after Apple's documentation, and a model that
// behaves as `fake.json` in its package says. With it a compiler without Apple's SDK checks the types
// of BenchCoreML and runs it from end to end.
import CoreVideo
import Foundation

@discardableResult
public func autoreleasepool<Result>(invoking body: () throws -> Result) rethrows -> Result {
    try body()
}

public enum MLComputeUnits { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }

public class MLModelConfiguration {
    public init() {}
    public var computeUnits: MLComputeUnits = .all
}

public struct MLModelMetadataKey: Hashable, RawRepresentable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let creatorDefinedKey = MLModelMetadataKey(rawValue: "MLModelCreatorDefinedKey")
}

public enum MLMultiArrayDataType { case double, float64, float32, float16, float, int32 }

/// `fake.json`: how the model of a package behaves.
struct Behaviour: Decodable {
    /// Shapes of float32 inputs; a shape of two numbers is the height and width of an image.
    let inputs: [String: [Int]]
    /// Output for a first value below -0.9, and for any other.
    let answers: [Double]
    let metadata: [String: String]
    /// The step that fails, `compile`, `load` or `predict`; or `hang`, to never return.
    let fault: String?
    /// Pairs of an operator and the compute unit that the plan gives it.
    let plan: [[String]]?

    static func read(_ folder: URL) throws -> Behaviour {
        let content = try Data(contentsOf: folder.appendingPathComponent("fake.json"))
        return try JSONDecoder().decode(Behaviour.self, from: content)
    }

    func meet(_ place: String) throws {
        if fault == place {
            throw NSError(
                domain: "fake", code: 1, userInfo: [NSLocalizedDescriptionKey: "it fails to \(place)"])
        }
        if fault == "hang", place == "predict" { Thread.sleep(forTimeInterval: 600) }
    }
}

public class MLMultiArrayConstraint {
    public let shape: [NSNumber]
    public let dataType = MLMultiArrayDataType.float32
    init(_ shape: [Int]) { self.shape = shape.map { NSNumber(value: $0) } }
}

public class MLImageConstraint {
    public let pixelsHigh: Int
    public let pixelsWide: Int
    init(_ shape: [Int]) {
        pixelsHigh = shape[0]
        pixelsWide = shape[1]
    }
}

public class MLFeatureDescription {
    public let name: String
    private let shape: [Int]
    init(_ name: String, _ shape: [Int]) {
        self.name = name
        self.shape = shape
    }
    public var multiArrayConstraint: MLMultiArrayConstraint? {
        shape.count == 2 ? nil : MLMultiArrayConstraint(shape)
    }
    public var imageConstraint: MLImageConstraint? {
        shape.count == 2 ? MLImageConstraint(shape) : nil
    }
}

public class MLModelDescription {
    private let behaviour: Behaviour
    init(_ behaviour: Behaviour) { self.behaviour = behaviour }
    public var inputDescriptionsByName: [String: MLFeatureDescription] {
        Dictionary(
            uniqueKeysWithValues: behaviour.inputs.map { ($0, MLFeatureDescription($0, $1)) })
    }
    public var metadata: [MLModelMetadataKey: Any] { [.creatorDefinedKey: behaviour.metadata] }
}

public protocol MLShapedArrayScalar {}
extension Float: MLShapedArrayScalar {}
public protocol MLShapedArrayProtocol {
    var values: [Any] { get }
}
public struct MLShapedArray<Scalar: MLShapedArrayScalar>: MLShapedArrayProtocol {
    public let values: [Any]
    public init<S: Sequence>(scalars: S, shape: [Int]) where S.Element == Scalar {
        values = Array(scalars)
        precondition(values.count == shape.reduce(1, *))
    }
}

public class MLMultiArray {
    private let values: [Double]
    public init<C: MLShapedArrayProtocol>(_ shapedArray: C) {
        values = shapedArray.values.map { Double($0 as! Float) }
    }
    init(answer: Double) { values = [answer] }
    public var count: Int { values.count }
    public subscript(_ offset: Int) -> NSNumber { NSNumber(value: values[offset]) }
}

public class MLFeatureValue {
    public let multiArrayValue: MLMultiArray?
    public let imageBufferValue: CVPixelBuffer?
    public init(multiArray value: MLMultiArray) {
        multiArrayValue = value
        imageBufferValue = nil
    }
    public init(pixelBuffer value: CVPixelBuffer) {
        multiArrayValue = nil
        imageBufferValue = value
    }
}

public protocol MLFeatureProvider {
    var featureNames: Set<String> { get }
    func featureValue(for featureName: String) -> MLFeatureValue?
}

public class MLDictionaryFeatureProvider: MLFeatureProvider {
    private let values: [String: Any]
    public init(dictionary: [String: Any]) throws { values = dictionary }
    public var featureNames: Set<String> { Set(values.keys) }
    public func featureValue(for featureName: String) -> MLFeatureValue? {
        values[featureName] as? MLFeatureValue
    }
}

public class MLPredictionOptions {
    public init() {}
}

public class MLModel {
    private let behaviour: Behaviour

    public class func compileModel(at modelURL: URL) async throws -> URL {
        try Behaviour.read(modelURL).meet("compile")
        let place = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).mlmodelc")
        try FileManager.default.copyItem(at: modelURL, to: place)
        return place
    }

    public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {
        behaviour = try Behaviour.read(url)
        try behaviour.meet("load")
    }

    public var modelDescription: MLModelDescription { MLModelDescription(behaviour) }

    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider {
        try behaviour.meet("predict")
        guard let name = behaviour.inputs.keys.first, let value = input.featureValue(for: name)
        else { throw NSError(domain: "fake", code: 2) }
        // The blue of an image, or the first value of an array.
        let first = value.imageBufferValue.map { Double($0.bytes[0]) / 100 - 1 }
            ?? value.multiArrayValue?[0].doubleValue ?? 0
        let answer = MLMultiArray(answer: behaviour.answers[first < -0.9 ? 0 : 1])
        return try MLDictionaryFeatureProvider(dictionary: ["age": MLFeatureValue(multiArray: answer)])
    }

    @available(iOS 17.0, macOS 14.0, *)
    public func prediction(
        from input: MLFeatureProvider, options: MLPredictionOptions = MLPredictionOptions()
    ) async throws -> MLFeatureProvider { fatalError("the other prediction is timed") }
}

public class MLCPUComputeDevice { init() {} }
public class MLGPUComputeDevice { init() {} }
public class MLNeuralEngineComputeDevice { init() {} }

@available(iOS 17.0, macOS 14.0, *)
public enum MLComputeDevice {
    case cpu(MLCPUComputeDevice)
    case gpu(MLGPUComputeDevice)
    case neuralEngine(MLNeuralEngineComputeDevice)
}

@available(iOS 17.4, macOS 14.4, *)
public enum MLModelStructure {
    case neuralNetwork(NeuralNetwork)
    case program(Program)
    case pipeline(Pipeline)
    case unsupported

    public struct NeuralNetwork {}
    public struct Pipeline {}
    public struct Program {
        public let functions: [String: Function]
        public struct Function {
            public let block: Block
        }
        public struct Block {
            public let operations: [Operation]
        }
        public struct NamedValueType {
            public let name: String
        }
        public struct Operation {
            public let operatorName: String
            public let outputs: [NamedValueType]
            public let blocks: [Block]
            let unit: String
        }
    }
}

@available(iOS 17.4, macOS 14.4, *)
public class MLComputePlan {
    public struct DeviceUsage {
        public let preferred: MLComputeDevice
        public let supported: [MLComputeDevice]
    }
    public struct Cost {
        public let weight: Double
    }
    public let modelStructure: MLModelStructure

    init(_ plan: [[String]]) {
        let ops = plan.enumerated().map { index, op in
            MLModelStructure.Program.Operation(
                operatorName: op[0], outputs: [.init(name: "out_\(index)")], blocks: [], unit: op[1])
        }
        modelStructure = .program(.init(functions: ["main": .init(block: .init(operations: ops))]))
    }

    public class func load(
        contentsOf url: URL, configuration: MLModelConfiguration
    ) async throws -> MLComputePlan {
        guard let plan = try Behaviour.read(url).plan else { throw NSError(domain: "fake", code: 3) }
        return MLComputePlan(plan)
    }

    public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? {
        let devices: [String: MLComputeDevice] = [
            "cpu": .cpu(.init()), "gpu": .gpu(.init()), "neuralEngine": .neuralEngine(.init()),
        ]
        return devices[operation.unit].map { DeviceUsage(preferred: $0, supported: [$0]) }
    }

    public func estimatedCost(of operation: MLModelStructure.Program.Operation) -> Cost? {
        Cost(weight: 0.5)
    }
}
