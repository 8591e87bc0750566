import ScenarioCase

/// FI-NL: delay and loss on the network.
final class NetworkFailureTests: ScenarioCase {
    func test_FI_NL_01_aSecondOfDelay() async throws { try await Self.verify("FI-NL-01") }
    func test_FI_NL_02_aFifthIsLost() async throws { try await Self.verify("FI-NL-02") }
    func test_FI_NL_03_delayThatChanges() async throws { try await Self.verify("FI-NL-03") }
    func test_FI_NL_04_anHourOfDelay() async throws { try await Self.verify("FI-NL-04") }
}

/// FI-DT: statements and connections that take too long.
final class DatabaseTimeoutTests: ScenarioCase {
    func test_FI_DT_01_statementsTimeOut() async throws { try await Self.verify("FI-DT-01") }
    func test_FI_DT_02_connectingTimesOut() async throws { try await Self.verify("FI-DT-02") }
    func test_FI_DT_03_batchesTimeOut() async throws { try await Self.verify("FI-DT-03") }
    func test_FI_DT_04_metadataTimeOut() async throws { try await Self.verify("FI-DT-04") }
}

/// FI-PD: a controller that is slow.
final class ControllerDelayTests: ScenarioCase {
    func test_FI_PD_01_reading() async throws { try await Self.verify("FI-PD-01") }
    func test_FI_PD_02_writing() async throws { try await Self.verify("FI-PD-02") }
    func test_FI_PD_03_moody() async throws { try await Self.verify("FI-PD-03") }
    func test_FI_PD_04_staysSlow() async throws { try await Self.verify("FI-PD-04") }
}

/// FI-RD: what goes away and comes back.
final class ReconnectionTests: ScenarioCase {
    func test_FI_RD_01_theController() async throws { try await Self.verify("FI-RD-01") }
    func test_FI_RD_02_theDatabase() async throws { try await Self.verify("FI-RD-02") }
    func test_FI_RD_03_theChannel() async throws { try await Self.verify("FI-RD-03") }
    func test_FI_RD_04_severalAtOnce() async throws { try await Self.verify("FI-RD-04") }
}

/// FI-PF: parts that are missing while the others go on.
final class PartialFailureTests: ScenarioCase {
    func test_FI_PF_01_withoutTheController() async throws { try await Self.verify("FI-PF-01") }
    func test_FI_PF_02_withoutTheDatabase() async throws { try await Self.verify("FI-PF-02") }
    func test_FI_PF_03_terminal1Crashes() async throws { try await Self.verify("FI-PF-03") }
    func test_FI_PF_04_withoutTheChannel() async throws { try await Self.verify("FI-PF-04") }
    func test_FI_PF_05_twoOfThreeCrash() async throws { try await Self.verify("FI-PF-05") }
}
