import Foundation

/// SHA-256 (FIPS 180-4), so that the core needs only Foundation.
public struct SHA256 {
    private static let rounds: [UInt32] = primes(64).map { fraction(cbrt(Double($0))) }
    private var state: [UInt32] = SHA256.primes(8).map { SHA256.fraction(Double($0).squareRoot()) }

    /// Returns the hash of some bytes, hexadecimal.
    public static func hash(_ content: Data) -> String {
        var hash = SHA256()
        let bytes = [UInt8](content)
        let whole = bytes.count / 64 * 64
        for start in stride(from: 0, to: whole, by: 64) { hash.absorb(bytes[start..<start + 64]) }
        var tail = Array(bytes[whole...]) + [0x80]
        tail += [UInt8](repeating: 0, count: (120 - tail.count) % 64)
        let bits = UInt64(bytes.count) * 8
        tail += (0..<8).reversed().map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) }
        for start in stride(from: 0, to: tail.count, by: 64) { hash.absorb(tail[start..<start + 64]) }
        return hash.state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private mutating func absorb(_ block: ArraySlice<UInt8>) {
        var words = stride(from: block.startIndex, to: block.endIndex, by: 4).map { start in
            (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(block[start + $1]) }
        }
        for i in 16..<64 {
            let early = words[i - 15], late = words[i - 2]
            let small = SHA256.turn(early, 7) ^ SHA256.turn(early, 18) ^ early >> 3
            let great = SHA256.turn(late, 17) ^ SHA256.turn(late, 19) ^ late >> 10
            words.append(words[i - 16] &+ small &+ words[i - 7] &+ great)
        }
        var s = state
        for i in 0..<64 {
            let mix = SHA256.turn(s[4], 6) ^ SHA256.turn(s[4], 11) ^ SHA256.turn(s[4], 25)
            let choice = (s[4] & s[5]) ^ (~s[4] & s[6])
            let first = s[7] &+ mix &+ choice &+ SHA256.rounds[i] &+ words[i]
            let spread = SHA256.turn(s[0], 2) ^ SHA256.turn(s[0], 13) ^ SHA256.turn(s[0], 22)
            let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])
            s = [first &+ spread &+ majority, s[0], s[1], s[2], s[3] &+ first, s[4], s[5], s[6]]
        }
        for i in 0..<8 { state[i] = state[i] &+ s[i] }
    }

    private static func turn(_ word: UInt32, _ by: UInt32) -> UInt32 {
        word >> by | word << (32 - by)
    }

    /// The first 32 bits of the fraction.
    private static func fraction(_ value: Double) -> UInt32 {
        UInt32((value - value.rounded(.down)) * 4_294_967_296)
    }

    private static func primes(_ count: Int) -> [Int] {
        var found: [Int] = []
        var candidate = 2
        while found.count < count {
            if found.allSatisfy({ candidate % $0 != 0 }) { found.append(candidate) }
            candidate += 1
        }
        return found
    }
}
