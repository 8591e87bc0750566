import ScenarioCase

/// PLC-CA: clients of one controller at the same time.
final class ConcurrentAccessTests: ScenarioCase {
    func test_PLC_CA_01_threeTerminalsRead() async throws { try await Self.verify("PLC-CA-01") }
    func test_PLC_CA_02_tenClientsRead() async throws { try await Self.verify("PLC-CA-02") }
    func test_PLC_CA_03_fiveReadWhileFiveWrite() async throws { try await Self.verify("PLC-CA-03") }
    func test_PLC_CA_04_connectionsComeAndGo() async throws { try await Self.verify("PLC-CA-04") }
    func test_PLC_CONNECTIONS_thoseBeyondTheLimitAreToldSo() async throws { try await Self.verify("PLC-CONNECTIONS") }
}

/// PLC-PS: how the number of parameters counts.
final class ParameterScalingTests: ScenarioCase {
    func test_PLC_PS_01_readingAHundred() async throws { try await Self.verify("PLC-PS-01") }
    func test_PLC_PS_02_readingFiveHundred() async throws { try await Self.verify("PLC-PS-02") }
    func test_PLC_PS_03_readingAThousand() async throws { try await Self.verify("PLC-PS-03") }
    func test_PLC_PS_04_loadingAHundred() async throws { try await Self.verify("PLC-PS-04") }
    func test_PLC_PS_05_loadingFiveHundred() async throws { try await Self.verify("PLC-PS-05") }
}

/// PLC-BG: what is written beside the collection.
final class BackgroundWriteTests: ScenarioCase {
    func test_PLC_BG_01_theDatabaseRefusesConnections() async throws { try await Self.verify("PLC-BG-01") }
    func test_PLC_BG_02_theDatabaseIsSlow() async throws { try await Self.verify("PLC-BG-02") }
    func test_PLC_BG_03_rowsThatBreakAForeignKey() async throws { try await Self.verify("PLC-BG-03") }
    func test_PLC_BG_04_everyWriteFails() async throws { try await Self.verify("PLC-BG-04") }
}

/// PLC-CS: starting and stopping.
final class ConnectionCycleTests: ScenarioCase {
    func test_PLC_CS_01_tenRestarts() async throws { try await Self.verify("PLC-CS-01") }
    func test_PLC_CS_02_fiftyRestartsInARow() async throws { try await Self.verify("PLC-CS-02") }
    func test_PLC_CS_03_tenStartsAtTheSameTime() async throws { try await Self.verify("PLC-CS-03") }
    func test_PLC_CS_04_restartsAmidFailures() async throws { try await Self.verify("PLC-CS-04") }
}

/// PLC-ML: days of it in virtual time, and a moment of real time over Modbus TCP.
final class ControllerMemoryTests: ScenarioCase {
    func test_PLC_ML_01_aDayOfReading() async throws { try await Self.verify("PLC-ML-01") }
    func test_PLC_ML_02_aDayOfWriting() async throws { try await Self.verify("PLC-ML-02") }
    func test_PLC_ML_03_threeDaysOfBoth() async throws { try await Self.verify("PLC-ML-03") }
    func test_PLC_ML_04_parametersComeAndGo() async throws { try await Self.verify("PLC-ML-04") }
}
