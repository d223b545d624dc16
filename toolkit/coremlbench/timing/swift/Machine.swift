import CoreML
import Foundation

#if canImport(Darwin)
    import Darwin
#endif

#if os(macOS) || os(iOS)
    let isStandIn = false
#else
    /// Core ML is a part of Apple's systems: elsewhere this program can only have been compiled against a stand-in.
    let isStandIn = true
#endif

/// The version of the system, which Core ML is a part of.
func runtimeVersion() -> String {
    let version = ProcessInfo.processInfo.operatingSystemVersion
    let number = "\(version.majorVersion).\(version.minorVersion).\(version.patchVersion)"
    #if os(macOS)
        return "Core ML of macOS \(number), native runner"
    #elseif os(iOS)
        return "Core ML of iOS \(number), native runner"
    #else
        return "stand-in for Core ML of the tests, native runner"
    #endif
}

/// CPU, GPU or NE.
func deviceName(_ device: MLComputeDevice) -> String {
    switch device {
    case .cpu: return "CPU"
    case .gpu: return "GPU"
    case .neuralEngine: return "NE"
    @unknown default: return "other"
    }
}

func conditions() -> Timed.Conditions {
    Timed.Conditions(thermalState: thermalState(), lowPowerMode: lowPowerMode())
}

func neuralEngineCores() -> Int? {
    for case .neuralEngine(let device) in MLModel.availableComputeDevices { return device.totalCoreCount }
    return nil
}

/// nominal, fair, serious, critical; nil where the system does not say.
func thermalState() -> String? {
    #if canImport(Darwin)
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: return "nominal"
        case .fair: return "fair"
        case .serious: return "serious"
        case .critical: return "critical"
        @unknown default: return "other"
        }
    #else
        return nil
    #endif
}

func lowPowerMode() -> Bool? {
    #if canImport(Darwin)
        return ProcessInfo.processInfo.isLowPowerModeEnabled
    #else
        return nil
    #endif
}

func peakFootprint() -> UInt64? {
    #if canImport(Darwin)
        var information = task_vm_info_data_t()
        var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
        let status = withUnsafeMutablePointer(to: &information) { pointer in
            pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
            }
        }
        guard status == KERN_SUCCESS else { return nil }
        return UInt64(max(0, information.ledger_phys_footprint_peak))
    #else
        // VmHWM, the resident memory at its highest: not the same as a footprint.
        let status = try? String(contentsOf: URL(fileURLWithPath: "/proc/self/status"), encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { UInt64($0) }.map { $0 * 1024 }
    #endif
}
