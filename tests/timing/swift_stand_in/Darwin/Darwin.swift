// swift-format-ignore-file: AlwaysUseLowerCamelCase, TypeNamesShouldBeCapitalized

//
// A stand-in for the few names of Apple's Darwin and Foundation that the runner uses only on Apple's systems, so that
// these lines are compiled and run as well where there is no Darwin. What they return is made up.
import Foundation

public typealias natural_t = UInt32
public typealias integer_t = Int32
public typealias kern_return_t = Int32
public typealias mach_port_t = UInt32
public typealias mach_msg_type_number_t = UInt32
public typealias task_flavor_t = UInt32
public typealias task_info_t = UnsafeMutablePointer<integer_t>

public let KERN_SUCCESS: Int32 = 0
public let TASK_VM_INFO: Int32 = 22
nonisolated(unsafe) public var mach_task_self_: mach_port_t = 0

public struct task_vm_info_data_t {
    public var phys_footprint: UInt64 = 0
    public var ledger_phys_footprint_peak: Int64 = 0
    public init() {}
}

public func task_info(
    _ target_task: mach_port_t,
    _ flavor: task_flavor_t,
    _ task_info_out: task_info_t!,
    _ task_info_outCnt: UnsafeMutablePointer<mach_msg_type_number_t>!
) -> kern_return_t {
    UnsafeMutableRawPointer(task_info_out).storeBytes(of: 123_456_789, toByteOffset: 8, as: Int64.self)
    return KERN_SUCCESS
}

public func sysctlbyname(
    _ name: UnsafePointer<CChar>!,
    _ oldp: UnsafeMutableRawPointer!,
    _ oldlenp: UnsafeMutablePointer<Int>!,
    _ newp: UnsafeMutableRawPointer!,
    _ newlen: Int
) -> Int32 {
    let value = Array("Stub,1\0".utf8)
    if let oldp { oldp.copyMemory(from: value, byteCount: value.count) }
    oldlenp.pointee = value.count
    return 0
}

public enum DarwinClock { case uptimeRaw }

public let CLOCK_UPTIME_RAW = DarwinClock.uptimeRaw

public func clock_gettime_nsec_np(_ clock: DarwinClock) -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

extension ProcessInfo {
    public enum ThermalState: Int, Sendable {
        case nominal, fair, serious, critical
    }

    public struct ActivityOptions: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        public static var userInitiated: ActivityOptions { ActivityOptions(rawValue: 1) }
        public static var latencyCritical: ActivityOptions { ActivityOptions(rawValue: 2) }
    }

    /// Serious when the tests want it.
    public var thermalState: ThermalState { environment["COREML_STAND_IN_HOT"] == nil ? .nominal : .serious }
    public var isLowPowerModeEnabled: Bool { false }
    public func beginActivity(options: ActivityOptions = [], reason: String) -> any NSObjectProtocol { NSObject() }
}
