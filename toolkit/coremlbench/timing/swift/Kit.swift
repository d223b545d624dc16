// A kit: a folder with plan.json and what it names. plan.json lists the jobs in the order in which they are run, each a
// request with an id. The results of a job are in RESULTS/ID; it is done when ID/job.json is there.
import Foundation

struct Job: Decodable {
    let id: String
    /// What the person reads.
    let title: String
    /// Jobs of one cell have the same number; a cell whose rounds failed twice is given up. nil: a job of no cell.
    let cell: Int?
    /// Seconds without a sign of progress after which its process is ended.
    let silenceLimit: Double
    var request: Request

    private enum Keys: String, CodingKey { case id, title, cell, silenceLimit }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Keys.self)
        id = try values.decode(String.self, forKey: .id)
        title = try values.decode(String.self, forKey: .title)
        cell = try values.decodeIfPresent(Int.self, forKey: .cell)
        silenceLimit = try values.decode(Double.self, forKey: .silenceLimit)
        request = try Request(from: decoder)
    }
}

struct Kit: Decodable {
    let kit: String
    let jobs: [Job]

    /// Reads a kit. Paths of models and inputs are below the kit, those of compiled models below the results.
    static func load(_ folder: URL, results: URL) throws -> Kit {
        let data = try contents(folder.appendingPathComponent("plan.json"))
        let kit: Kit
        do { kit = try JSONDecoder().decode(Kit.self, from: data) } catch {
            throw RunnerError.request("The kit's plan.json cannot be understood: copy the kit again (\(error)).")
        }
        var ids: Set<String> = []
        let jobs = try kit.jobs.map { job in
            guard isName(job.id), job.id != "compiled", ids.insert(job.id).inserted else {
                throw RunnerError.request("The kit's plan.json has the id '\(job.id)' twice, or it is no file name.")
            }
            var job = job
            job.request.model = try inside(job.request.model, folder)
            job.request.compiled = try inside(job.request.compiled, results)
            for index in job.request.inputs.indices {
                job.request.inputs[index].file = try inside(job.request.inputs[index].file, folder)
            }
            return job
        }
        return Kit(kit: kit.kit, jobs: jobs)
    }

    private init(kit: String, jobs: [Job]) { (self.kit, self.jobs) = (kit, jobs) }
}

private func isName(_ text: String) -> Bool {
    let allowed = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    return !text.isEmpty && !text.hasPrefix(".") && text.unicodeScalars.allSatisfy(allowed.contains)
}

private func inside(_ path: String, _ folder: URL) throws -> String {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard !parts.contains(".."), !parts.contains("") else {
        throw RunnerError.request("The kit's plan.json names '\(path)', outside of the kit: do not use this kit.")
    }
    return folder.appendingPathComponent(path).path
}

/// What became of a job: job.json.
struct Outcome: Codable {
    enum Kind: String, Codable { case done, error, crash, limit, skipped }

    var id: String
    var kind: Kind
    /// Of the wall clock at the start, since 1970; and how long the job took by both clocks.
    var started: Double
    var wallSeconds: Double
    var seconds: Double
    var limit: Double
    var code: Int32?
    var signal: Int32?
    var error: Failure?
    /// Nanoseconds.
    var p50: UInt64?
    var p95: UInt64?
    var calls: Int?
}

func milliseconds(_ nanoseconds: UInt64) -> String { String(format: "%.3f ms", Double(nanoseconds) / 1e6) }

/// An outcome in words.
func words(_ outcome: Outcome) -> String {
    switch outcome.kind {
    case .done:
        guard let p50 = outcome.p50, let p95 = outcome.p95, let calls = outcome.calls else { return "done" }
        return "\(milliseconds(p50)) (p95 \(milliseconds(p95)), \(calls) calls)"
    case .error: return "failed: \(outcome.error?.message ?? "")"
    case .crash: return "crashed with signal \(outcome.signal ?? 0)"
    case .limit: return "stopped after \(Int(outcome.limit)) s without progress"
    case .skipped: return "left out: two rounds of it failed"
    }
}
