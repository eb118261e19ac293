// A fake Darwin, and what Foundation lacks on Linux; see CoreML.swift.
import Foundation

public typealias integer_t = Int32
public typealias natural_t = UInt32
public typealias kern_return_t = Int32
public typealias mach_msg_type_number_t = natural_t
public typealias task_flavor_t = natural_t
public typealias task_info_t = UnsafeMutablePointer<integer_t>
public typealias mach_port_t = natural_t

public struct rusage {
    public init() { ru_maxrss = 0 }
    public var ru_maxrss: Int
}
public let RUSAGE_SELF: Int32 = 0
public func getrusage(_ who: Int32, _ usage: UnsafeMutablePointer<rusage>) -> Int32 {
    usage.pointee.ru_maxrss = 40_000_000
    return 0
}

public struct task_vm_info_data_t {
    public init() {
        phys_footprint = 0
        ledger_phys_footprint_peak = 0
    }
    public var phys_footprint: UInt64
    public var ledger_phys_footprint_peak: Int64
}
public let KERN_SUCCESS: Int32 = 0
public let TASK_VM_INFO: Int32 = 22
public let mach_task_self_: mach_port_t = 0
public func task_info(
    _ target: mach_port_t, _ flavor: task_flavor_t, _ info: task_info_t,
    _ count: UnsafeMutablePointer<mach_msg_type_number_t>
) -> kern_return_t {
    info.withMemoryRebound(to: task_vm_info_data_t.self, capacity: 1) {
        $0.pointee.phys_footprint = 11_000_000
        $0.pointee.ledger_phys_footprint_peak = 12_000_000
    }
    return KERN_SUCCESS
}

public func sysctlbyname(
    _ name: UnsafePointer<CChar>, _ old: UnsafeMutableRawPointer?,
    _ oldSize: UnsafeMutablePointer<Int>?, _ new: UnsafeMutableRawPointer?, _ newSize: Int
) -> Int32 {
    let known = [
        "hw.machine": "iPhone99,1", "hw.model": "Fake1,1", "kern.osversion": "00A000",
        "machdep.cpu.brand_string": "Apple Fake",
    ]
    guard let text = known[String(cString: name)] else { return -1 }
    oldSize?.pointee = text.utf8.count + 1
    old?.copyMemory(from: text, byteCount: text.utf8.count + 1)
    return 0
}

extension ProcessInfo {
    public enum ThermalState: Int { case nominal, fair, serious, critical }
    public var thermalState: ThermalState { .nominal }
    public var isLowPowerModeEnabled: Bool { false }
}
