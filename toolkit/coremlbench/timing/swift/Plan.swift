import CoreML
import Foundation

/// The plan of a compiled model, or why there is none.
func plan(_ request: Request, _ base: URL, _ progress: (Step) -> Void) async throws -> Planned {
    let (url, configuration) = (try compiledModel(request, base), try configuration(request))
    progress(Step(phase: "plan", done: 0, total: 1, message: "reading the compute plan for \(request.unit)"))
    guard #available(macOS 14.4, iOS 17.4, *) else {
        let reason = "Core ML gives its compute plan on macOS 14.4 and iOS 17.4 and later."
        return Planned(operations: [], failure: reason, standIn: isStandIn)
    }
    let plan: MLComputePlan
    do { plan = try await MLComputePlan.load(contentsOf: url, configuration: configuration) } catch {
        throw RunnerError.coreML("PlanError", "give a plan", error)
    }
    let found = operations(plan, plan.modelStructure)
    let named = found.contains { $0.device != nil }
    let failure = named ? "" : "Core ML's compute plan names no device for any operation."
    return Planned(operations: found, failure: failure, standIn: isStandIn)
}

@available(macOS 14.4, iOS 17.4, *)
private func operations(_ plan: MLComputePlan, _ structure: MLModelStructure) -> [Planned.Operation] {
    switch structure {
    case .program(let program):
        return program.functions.sorted { $0.key < $1.key }.flatMap { operations(plan, $0.value.block) }
    case .neuralNetwork(let network):
        return network.layers.map {
            Planned.Operation(
                name: $0.name, kind: $0.type, device: plan.deviceUsage(for: $0).map { deviceName($0.preferred) },
                cost: nil)
        }
    case .pipeline(let pipeline): return pipeline.subModels.flatMap { operations(plan, $0) }
    case .unsupported: return []
    @unknown default: return []
    }
}

@available(macOS 14.4, iOS 17.4, *)
private func operations(_ plan: MLComputePlan, _ block: MLModelStructure.Program.Block) -> [Planned.Operation] {
    block.operations.flatMap { operation in
        [
            Planned.Operation(
                name: operation.outputs.first?.name ?? operation.operatorName, kind: operation.operatorName,
                device: plan.deviceUsage(for: operation).map { deviceName($0.preferred) },
                cost: plan.estimatedCost(of: operation)?.weight)
        ] + operation.blocks.flatMap { operations(plan, $0) }
    }
}
