import Foundation

#if canImport(Darwin)
    import Darwin
#endif
#if canImport(ObjectiveC)
    import ObjectiveC
#endif

/// Nanoseconds of a clock that is never set and stands still while the machine sleeps.
@inline(__always)
func now() -> UInt64 {
    #if canImport(Darwin)
        return clock_gettime_nsec_np(CLOCK_UPTIME_RAW)
    #else
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    #endif
}

func seconds(since began: UInt64) -> Double { Double(now() - began) / 1e9 }

/// What the body autoreleases is gone when it has ended, where there is such a thing.
@inline(__always)
func pooled<T>(_ body: () throws -> T) rethrows -> T {
    #if canImport(ObjectiveC)
        return try autoreleasepool(invoking: body)
    #else
        return try body()
    #endif
}

/// Nanoseconds in memory that was touched beforehand; it grows only in `reserve`.
final class Samples {
    private var buffer: UnsafeMutableBufferPointer<UInt64>
    private(set) var count = 0

    init(capacity: Int) {
        buffer = .allocate(capacity: capacity)
        buffer.initialize(repeating: 0)
    }

    deinit { buffer.deallocate() }

    func reserve() {
        guard count == buffer.count else { return }
        let larger = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 2 * count)
        larger.initialize(repeating: 0)
        larger.baseAddress!.update(from: buffer.baseAddress!, count: count)
        buffer.deallocate()
        buffer = larger
    }

    @inline(__always)
    func append(_ nanoseconds: UInt64) {
        buffer[count] = nanoseconds
        count += 1
    }

    var data: Data { Data(buffer: UnsafeBufferPointer(rebasing: buffer[..<count])) }

    /// The smallest time that this share of the calls did not exceed.
    func percentile(_ percent: Int) -> UInt64 {
        let sorted = buffer[..<count].sorted()
        return sorted[max(1, (percent * count + 99) / 100) - 1]
    }

    /// The quantile at position share * (count - 1) of the sorted times, interpolated, in seconds.
    func quantile(_ share: Double) -> Double {
        let sorted = buffer[..<count].sorted()
        let position = share * Double(count - 1)
        let below = Int(position)
        let next = sorted[min(below + 1, count - 1)]
        return (Double(sorted[below]) + (Double(next) - Double(sorted[below])) * (position - Double(below))) / 1e9
    }
}
