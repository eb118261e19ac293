import Foundation

/// Statistics of samples, in their unit, as defined in `agecompact/bench/statistics.py`.
public struct Statistics: Equatable, Sendable {
    public let p50: Double
    public let p90: Double
    public let p99: Double
    public let mean: Double
    /// With n - 1; nil for a single sample.
    public let standardDeviation: Double?
    public let least: Double
    public let greatest: Double

    /// Nil without samples.
    public init?(_ samples: [Double]) {
        let ordered = samples.sorted()
        guard let first = ordered.first, let last = ordered.last else { return nil }
        p50 = Statistics.percentile(50, ofSorted: ordered)
        p90 = Statistics.percentile(90, ofSorted: ordered)
        p99 = Statistics.percentile(99, ofSorted: ordered)
        least = first
        greatest = last
        // Python refuses a mean that is rounded above the largest sample.
        let average = Statistics.sum(samples) / Double(samples.count)
        mean = min(max(average, first), last)
        standardDeviation = Statistics.deviation(samples, around: mean)
    }

    /// Linear interpolation between the two nearest samples, numpy's default.
    static func percentile(_ percent: Double, ofSorted ordered: [Double]) -> Double {
        let place = percent / 100 * Double(ordered.count - 1)
        let below = Int(place.rounded(.down))
        let above = min(below + 1, ordered.count - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (place - Double(below))
    }

    /// Neumaier's sum, which does not depend on the order of the samples.
    static func sum(_ values: [Double]) -> Double {
        var total = 0.0
        var lost = 0.0
        for value in values {
            let next = total + value
            lost += abs(total) >= abs(value) ? (total - next) + value : (value - next) + total
            total = next
        }
        return total + lost
    }

    private static func deviation(_ samples: [Double], around mean: Double) -> Double? {
        guard samples.count > 1 else { return nil }
        let squares = samples.map { ($0 - mean) * ($0 - mean) }
        return (sum(squares) / Double(samples.count - 1)).squareRoot()
    }
}
