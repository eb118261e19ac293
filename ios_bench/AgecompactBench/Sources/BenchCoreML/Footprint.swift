#if canImport(CoreML)
import BenchCore
import Darwin

/// Memory of this process as the system accounts for it, bytes.
struct Footprint {
    private let rssBefore: Int?

    /// Create it before anything is loaded.
    init() {
        rssBefore = Footprint.peakRss()
    }

    /// The peaks so far, and the increase of the peak resident size since creation.
    func memory() -> Memory {
        let peak = Footprint.peakRss()
        return Memory(
            peakRssBytes: peak,
            modelRssBytes: peak.flatMap { now in rssBefore.map { max(now - $0, 0) } },
            peakFootprintBytes: Footprint.peak()
        )
    }

    private static func peakRss() -> Int? {
        var usage = rusage()
        guard getrusage(RUSAGE_SELF, &usage) == 0, usage.ru_maxrss > 0 else { return nil }
        return usage.ru_maxrss
    }

    private static func peak() -> Int? {
        var info = task_vm_info_data_t()
        let words = MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size
        var count = mach_msg_type_number_t(words)
        let status = withUnsafeMutablePointer(to: &info) { pointer in
            pointer.withMemoryRebound(to: integer_t.self, capacity: words) {
                task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
            }
        }
        guard status == KERN_SUCCESS else { return nil }
        let peak = max(Int(info.ledger_phys_footprint_peak), Int(info.phys_footprint))
        return peak > 0 ? peak : nil
    }
}
#endif
