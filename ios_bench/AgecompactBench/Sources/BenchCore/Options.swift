import Foundation

/// The command's options.
public struct Options: Equatable, Sendable {
    public static let help = """
        usage: agecompact-bench PACKAGE --out FILE [options]
               agecompact-bench --machine

          PACKAGE              the .mlpackage or .aimodel to measure
          --out FILE           write the record here, in the form of latency.json
          --golden DIR         golden pack with inputs and expected outputs
          --compute-unit UNIT  cpuOnly, cpuAndGPU, cpuAndNeuralEngine or all (default all)
          --runs N             timed inferences (default 1000)
          --warmup N           untimed inferences before (default 10)
          --timeout S          give up after this many seconds (default 300)
          --placement FILE     write the compute unit of each op of the plan
          --machine            print this machine as a record holds it, and exit

        exit codes: 0 measured, 1 not measured or beyond tolerance, 2 usage,
                    3 no Core ML, or no Core AI for an .aimodel
        """

    public var packagePath = ""
    public var out = ""
    public var golden: String?
    public var computeUnit = ComputeUnit.all
    public var runs = 1000
    public var warmup = 10
    public var timeoutS = 300
    public var placement: String?
    public var machineOnly = false
    public var helpOnly = false

    /// - Parameter arguments: The arguments without the program's name.
    /// - Throws: `BenchError.usage`.
    public init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--help", "-h": helpOnly = true
            case "--machine": machineOnly = true
            case "--out": out = try Options.value(of: argument, &rest)
            case "--golden": golden = try Options.value(of: argument, &rest)
            case "--placement": placement = try Options.value(of: argument, &rest)
            case "--runs": runs = try Options.count(of: argument, &rest, atLeast: 1)
            case "--warmup": warmup = try Options.count(of: argument, &rest, atLeast: 1)
            case "--timeout": timeoutS = try Options.count(of: argument, &rest, atLeast: 1)
            case "--compute-unit":
                let name = try Options.value(of: argument, &rest)
                guard let unit = ComputeUnit(rawValue: name) else {
                    let known = ComputeUnit.allCases.map(\.rawValue).joined(separator: ", ")
                    throw BenchError.usage("unknown compute unit '\(name)'; known: \(known)")
                }
                computeUnit = unit
            default:
                guard !argument.hasPrefix("-"), packagePath.isEmpty else {
                    throw BenchError.usage("unexpected argument '\(argument)'")
                }
                packagePath = argument
            }
        }
        guard helpOnly || machineOnly || (!packagePath.isEmpty && !out.isEmpty) else {
            throw BenchError.usage("PACKAGE and --out are required")
        }
    }

    private static func value(of name: String, _ rest: inout ArraySlice<String>) throws -> String {
        guard let value = rest.popFirst(), !value.isEmpty else {
            throw BenchError.usage("\(name) needs a value")
        }
        return value
    }

    private static func count(
        of name: String, _ rest: inout ArraySlice<String>, atLeast least: Int
    ) throws -> Int {
        let text = try value(of: name, &rest)
        guard let number = Int(text), number >= least else {
            throw BenchError.usage("\(name) must be an integer of at least \(least), not '\(text)'")
        }
        return number
    }
}
