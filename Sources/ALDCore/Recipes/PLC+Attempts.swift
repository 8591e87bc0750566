/// The calls that recipes and commands make, with what came of them as a value to decide on.
extension PLC {
    /// - Returns: why it did not succeed; `nil` when the controller has confirmed it.
    func tryWriting(_ point: SetPoint, by deadline: MonotonicInstant) async -> RecipeMachine.WriteFailure? {
        do throws(PLCError) {
            try await write(point.value, to: point.parameter, deadline: deadline)
            return nil
        } catch {
            return RecipeMachine.WriteFailure(error)
        }
    }

    func tryReading(_ parameter: ParameterID, by deadline: MonotonicInstant) async -> Result<Double, PLCError> {
        do throws(PLCError) {
            return .success(try await readSetPoint(of: parameter, deadline: deadline))
        } catch {
            return .failure(error)
        }
    }

    func tryLooking(
        at parameters: Set<ParameterID>, by deadline: MonotonicInstant
    ) async -> Result<[ParameterID: Double], PLCError> {
        do throws(PLCError) {
            return .success(try await readSetPoints(of: parameters, deadline: deadline))
        } catch {
            return .failure(error)
        }
    }

    /// Asks the controller for anything.
    ///
    /// - Parameter parameter: one that can be written; without any there is, everything is read.
    /// - Returns: why nothing was heard; `nil` when it answered, if only with a no.
    func tryReaching(_ parameter: ParameterID?, by deadline: MonotonicInstant) async -> String? {
        do throws(PLCError) {
            if let parameter {
                _ = try await readSetPoint(of: parameter, deadline: deadline)
            } else {
                _ = try await scan(deadline: deadline)
            }
        } catch {
            switch error {
            case .unreachable(let reason), .unanswered(let reason), .unknownOutcome(let reason): return reason
            case .refused, .notWritable, .outOfRange, .unknownParameter, .interlocked: break
            }
        }
        return nil
    }
}

extension RecipeMachine.WriteFailure {
    /// What an error of the controller means for whoever has to decide.
    init(_ error: PLCError) {
        self =
            switch error {
            // Also of what had to be read before anything could be written.
            case .unreachable(let reason), .unanswered(let reason): .unreachable(reason)
            case .unknownOutcome(let reason): .unknownOutcome(reason)
            case .refused, .notWritable, .outOfRange, .unknownParameter, .interlocked: .refused("\(error)")
            }
    }
}
