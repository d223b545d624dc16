// Stands in for Apple's Combine on Linux: the declarations that Create ML's program names, as Apple documents them.
import Foundation

/// Ends its subscription when it is cancelled or released.
public final class AnyCancellable: @unchecked Sendable {
    private let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }

    deinit { body() }

    public func cancel() { body() }
}

public enum Completion<Failure: Error> {
    case finished
    case failure(Failure)
}

/// A subject that replays its last value and its completion, and the publisher made of it.
public final class StandInSubject<Output, Failure: Error>: @unchecked Sendable {
    typealias Subscriber = (value: (Output) -> Void, completion: (Completion<Failure>) -> Void)

    private let lock = NSLock()
    private var subscribers: [Int: Subscriber] = [:]
    private var count = 0
    private var last: Output?
    private var completion: Completion<Failure>?
    private let replays: Bool

    public init(replays: Bool) { self.replays = replays }

    public func send(_ value: Output) {
        for subscriber in locked({ () -> [Subscriber] in
            last = value
            return Array(subscribers.values)
        }) { subscriber.value(value) }
    }

    public func send(completion: Completion<Failure>) {
        for subscriber in locked({ () -> [Subscriber] in
            self.completion = completion
            return Array(subscribers.values)
        }) { subscriber.completion(completion) }
    }

    public func eraseToAnyPublisher() -> AnyPublisher<Output, Failure> { AnyPublisher(self) }

    func subscribe(_ subscriber: Subscriber) -> AnyCancellable {
        let (number, last, completion) = locked { () -> (Int, Output?, Completion<Failure>?) in
            count += 1
            subscribers[count] = subscriber
            return (count, replays ? self.last : nil, self.completion)
        }
        if let last { subscriber.value(last) }
        if let completion { subscriber.completion(completion) }
        return AnyCancellable { [weak self] in
            guard let self else { return }
            _ = self.locked { self.subscribers.removeValue(forKey: number) }
        }
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }
}

public struct AnyPublisher<Output, Failure: Error> {
    let subject: StandInSubject<Output, Failure>

    init(_ subject: StandInSubject<Output, Failure>) { self.subject = subject }
}

extension AnyPublisher where Failure == Never {
    public func sink(receiveValue: @escaping (Output) -> Void) -> AnyCancellable {
        subject.subscribe((value: receiveValue, completion: { _ in }))
    }
}

extension AnyPublisher where Failure == any Error {
    /// The elements as an asynchronous sequence (macOS 12).
    public var values: AsyncThrowingStream<Output, any Error> {
        AsyncThrowingStream { continuation in
            let subscription = subject.subscribe(
                (
                    value: { continuation.yield($0) },
                    completion: { completion in
                        switch completion {
                        case .finished: continuation.finish()
                        case .failure(let error): continuation.finish(throwing: error)
                        }
                    }
                ))
            continuation.onTermination = { _ in subscription.cancel() }
        }
    }
}
