// Runs the jobs of a kit, each in a fresh process of this program: a crash, a hang or a leak is that job's alone.
//
// A job that was done before is not repeated, so the same command continues after whatever ended it. The process of a
// job ends with this one (PARENT_FD in Runner.swift): no job is measured beside the leftover of another run.
import Foundation

private let failuresToGiveUp = 2

func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

private func decoded<T: Decodable>(_ type: T.Type, _ file: URL) -> T? {
    (try? Data(contentsOf: file)).flatMap { try? JSONDecoder().decode(type, from: $0) }
}

/// The error that a job's progress ends with. Frameworks may print on that descriptor too: such lines are passed over.
private func lastError(_ progress: URL) -> Failure? {
    struct Line: Decodable { let error: Failure }
    guard let lines = try? Data(contentsOf: progress).split(separator: 0x0A) else { return nil }
    return lines.reversed().lazy.compactMap { try? JSONDecoder().decode(Line.self, from: $0).error }.first
}

private struct Matrix {
    let kit: Kit
    let results: URL
    let program: URL

    private func folder(_ job: Job) -> URL { results.appendingPathComponent(job.id) }

    /// What is known of a job from before. A compiled model must still be there.
    func known(_ job: Job) throws -> Outcome? {
        guard let outcome = decoded(Outcome.self, folder(job).appendingPathComponent("job.json")) else { return nil }
        if job.request.task == .compile, outcome.kind == .done,
            !FileManager.default.fileExists(atPath: job.request.compiled)
        {
            return nil
        }
        return outcome
    }

    /// Waits for the end of a process; false once its files have not grown for so many seconds.
    private func waits(_ ended: DispatchSemaphore, _ silenceLimit: Double, _ files: [URL]) -> Bool {
        var (size, changed) = (UInt64.max, now())
        while ended.wait(timeout: .now() + min(1, silenceLimit / 4)) != .success {
            let attributes = files.map { try? FileManager.default.attributesOfItem(atPath: $0.path) }
            let newSize = attributes.reduce(0) { $0 + (($1?[.size] as? NSNumber)?.uint64Value ?? 0) }
            if newSize != size { (size, changed) = (newSize, now()) }
            if seconds(since: changed) >= silenceLimit { return false }
        }
        return true
    }

    /// Runs a job in a new process, which is ended when it hangs.
    func run(_ job: Job) throws -> Outcome {
        let folder = folder(job)
        try? FileManager.default.removeItem(at: folder)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try writeJSON(job.request, folder.appendingPathComponent("request.json"))
        let progress = folder.appendingPathComponent("progress.jsonl")
        let log = folder.appendingPathComponent("log.txt")
        for file in [progress, log] { try Data().write(to: file) }
        let process = Process()
        process.executableURL = program
        process.arguments = [folder.path, "1", "0"]
        let written = try [progress, log].map(FileHandle.init(forWritingTo:))
        (process.standardOutput, process.standardError) = (written[0], written[1])
        let held = Pipe()
        process.standardInput = held
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        let (began, started) = (now(), Date().timeIntervalSince1970)
        try process.run()
        let inTime = waits(ended, job.silenceLimit, [progress, log])
        if !inTime {
            kill(process.processIdentifier, SIGKILL)
            ended.wait()
        }
        // By hand: a process object may live on, and there are not many descriptors for many jobs.
        for handle in written + [held.fileHandleForWriting] { try handle.close() }
        var outcome = Outcome(
            id: job.id, kind: .error, started: started, wallSeconds: Date().timeIntervalSince1970 - started,
            seconds: seconds(since: began), limit: job.silenceLimit)
        let result = folder.appendingPathComponent("result.json")
        if process.terminationReason == .exit, process.terminationStatus == 0,
            FileManager.default.fileExists(atPath: result.path)
        {
            outcome.kind = .done
            if let timed = decoded(Timed.self, result) {
                (outcome.p50, outcome.p95, outcome.calls) = (timed.p50, timed.p95, timed.calls)
            }
        } else if !inTime {
            outcome.kind = .limit
        } else if process.terminationReason == .uncaughtSignal {
            (outcome.kind, outcome.signal) = (.crash, process.terminationStatus)
        } else {
            (outcome.code, outcome.error) = (process.terminationStatus, lastError(progress))
            if outcome.error == nil {
                let message = "The process ended with the code \(process.terminationStatus) and said nothing."
                outcome.error = Failure(RunnerError(type: "NoResultError", message: message))
            }
        }
        return outcome
    }

    func runAll() throws -> [(job: Job, outcome: Outcome)] {
        var outcomes: [(job: Job, outcome: Outcome)] = []
        var failures: [Int: Int] = [:]
        for (position, job) in kit.jobs.enumerated() {
            let place = "[\(position + 1)/\(kit.jobs.count)] \(job.title): "
            let outcome: Outcome
            if let before = try known(job) {
                outcome = before
            } else {
                if let cell = job.cell, failures[cell, default: 0] >= failuresToGiveUp {
                    let time = Date().timeIntervalSince1970
                    outcome = Outcome(
                        id: job.id, kind: .skipped, started: time, wallSeconds: 0, seconds: 0, limit: job.silenceLimit)
                    try FileManager.default.createDirectory(at: folder(job), withIntermediateDirectories: true)
                } else {
                    outcome = try run(job)
                }
                say(place + words(outcome))
                try writeJSON(outcome, folder(job).appendingPathComponent("job.json"))
            }
            if let cell = job.cell, outcome.kind != .done { failures[cell, default: 0] += 1 }
            outcomes.append((job, outcome))
        }
        return outcomes
    }
}

/// For each cell the medians of its rounds.
private func table(_ outcomes: [(job: Job, outcome: Outcome)]) -> [[String]] {
    let groups = Dictionary(grouping: outcomes.filter { $0.job.cell != nil }) { $0.job.cell! }
    func median(_ values: [UInt64]) -> String {
        values.isEmpty ? "-" : milliseconds(values.sorted()[(values.count - 1) / 2])
    }
    let rows = groups.sorted { $0.key < $1.key }.map { _, rounds in
        let done = rounds.map(\.outcome).filter { $0.kind == .done }
        return [
            rounds[0].job.title, "\(done.count)/\(rounds.count)", median(done.compactMap(\.p50)),
            median(done.compactMap(\.p95)), "\(done.reduce(0) { $0 + ($1.calls ?? 0) })",
        ]
    }
    return [["model and unit", "rounds", "median", "p95", "calls"]] + rows
}

private func printTable(_ rows: [[String]]) {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
        let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
        say(cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces))
    }
}

/// Runs a kit. The results folder belongs to this kit: its file kit.json names it.
func runMatrix(kit folder: URL, results: URL) throws {
    struct Mark: Codable { let kit: String }
    guard let program = Bundle.main.executableURL else {
        throw RunnerError.request("This program does not know where its own file is.")
    }
    let kit = try Kit.load(folder, results: results)
    let mark = results.appendingPathComponent("kit.json")
    if let other = decoded(Mark.self, mark), other.kit != kit.kit {
        throw RunnerError.request("The folder \(results.path) has the results of another kit: name another one.")
    }
    try FileManager.default.createDirectory(at: results, withIntermediateDirectories: true)
    try writeJSON(Mark(kit: kit.kit), mark)
    let outcomes = try Matrix(kit: kit, results: results, program: program).runAll()
    say("")
    printTable(table(outcomes))
    if isStandIn { say("The tests' stand-in for Core ML ran: none of these figures is Core ML's.") }
}
