import ScenarioCase

/// RC: terminals that end in the midst of their work, each a process of its own.
final class TerminalEndingTests: ScenarioCase {
    func test_RC_01_SIGTERM() async throws { try await Self.verify("RC-01") }
    func test_RC_02_SIGINT() async throws { try await Self.verify("RC-02") }
    func test_RC_03_SIGKILL() async throws { try await Self.verify("RC-03") }
    func test_RC_04_anErrorThatNobodyCatches() async throws { try await Self.verify("RC-04") }
}

/// ML: hours of one terminal in virtual time, and all of them as processes.
final class MemoryLeakTests: ScenarioCase {
    func test_ML_01_collection() async throws { try await Self.verify("ML-01") }
    func test_ML_02_recipes() async throws { try await Self.verify("ML-02") }
    func test_ML_03_commands() async throws { try await Self.verify("ML-03") }
    func test_ML_04_allTerminals() async throws { try await Self.verify("ML-04") }
}

/// CL: connections and files that are used, lost and made again.
final class ConnectionLeakTests: ScenarioCase {
    func test_CL_01_databaseConnections() async throws { try await Self.verify("CL-01") }
    func test_CL_02_controllerConnections() async throws { try await Self.verify("CL-02") }
    func test_CL_03_commandChannels() async throws { try await Self.verify("CL-03") }
    func test_CL_04_fileHandles() async throws { try await Self.verify("CL-04") }
}

/// LR: logs in files, through the real handler.
final class LogRotationScenarioTests: ScenarioCase {
    func test_LR_01_bySizeOrDay() async throws { try await Self.verify("LR-01") }
    func test_LR_02_byDay() async throws { try await Self.verify("LR-02") }
    func test_LR_03_quickly() async throws { try await Self.verify("LR-03") }
    func test_LR_04_severalServices() async throws { try await Self.verify("LR-04") }
}

/// Days of all terminals in virtual time.
final class LongRunTests: ScenarioCase {
    func test_STABILITY_24H_aDay() async throws { try await Self.verify("STABILITY-24H") }
    func test_STABILITY_72H_threeDays() async throws { try await Self.verify("STABILITY-72H") }
}
