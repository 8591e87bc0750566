import ScenarioCase

/// DB-HF: collection every second, with more and more parameters.
final class HighFrequencyTests: ScenarioCase {
    func test_DB_HF_01_tenParameters() async throws { try await Self.verify("DB-HF-01") }
    func test_DB_HF_02_fiftyParameters() async throws { try await Self.verify("DB-HF-02") }
    func test_DB_HF_03_aHundredParameters() async throws { try await Self.verify("DB-HF-03") }
    func test_DB_HF_04_fiveHundredParameters() async throws { try await Self.verify("DB-HF-04") }
    func test_DB_HF_05_aThousandParameters() async throws { try await Self.verify("DB-HF-05") }
}

/// DB-CE: clients of one database at the same time.
final class ConcurrentClientTests: ScenarioCase {
    func test_DB_CE_01_threeTerminals() async throws { try await Self.verify("DB-CE-01") }
    func test_DB_CE_02_threeTerminalsAndFiveClients() async throws { try await Self.verify("DB-CE-02") }
    func test_DB_CE_03_tenClientsAtOnce() async throws { try await Self.verify("DB-CE-03") }
    func test_DB_CE_04_threeTerminalsAndTenClients() async throws { try await Self.verify("DB-CE-04") }
}

/// DB-BI: batches of different sizes.
final class BatchInsertTests: ScenarioCase {
    func test_DB_BI_01_tenRows() async throws { try await Self.verify("DB-BI-01") }
    func test_DB_BI_02_fiftyRows() async throws { try await Self.verify("DB-BI-02") }
    func test_DB_BI_03_aHundredRows() async throws { try await Self.verify("DB-BI-03") }
    func test_DB_BI_04_fiveHundredRows() async throws { try await Self.verify("DB-BI-04") }
    func test_DB_BI_05_aThousandRows() async throws { try await Self.verify("DB-BI-05") }
    func test_DB_BI_06_aHundredRowsTenTimesASecond() async throws { try await Self.verify("DB-BI-06") }
}

/// DB-QT: statements that take too long.
final class StatementTimeoutTests: ScenarioCase {
    func test_DB_QT_01_metadataComeLate() async throws { try await Self.verify("DB-QT-01") }
    func test_DB_QT_02_pollingTakesFiveSeconds() async throws { try await Self.verify("DB-QT-02") }
    func test_DB_QT_03_aStatementThatNeverReturns() async throws { try await Self.verify("DB-QT-03") }
    func test_DB_QT_04_severalTerminalsWait() async throws { try await Self.verify("DB-QT-04") }
    func test_DB_RATE_theServerHasNoConnectionLeft() async throws { try await Self.verify("DB-RATE") }
}

/// DB-RT: the command channel.
final class CommandChannelTests: ScenarioCase {
    func test_DB_RT_01_anEventASecond() async throws { try await Self.verify("DB-RT-01") }
    func test_DB_RT_02_threeChannels() async throws { try await Self.verify("DB-RT-02") }
    func test_DB_RT_03_aHundredEventsASecond() async throws { try await Self.verify("DB-RT-03") }
    func test_DB_RT_04_tenQuickReconnections() async throws { try await Self.verify("DB-RT-04") }
    func test_DB_RT_05_changingLoad() async throws { try await Self.verify("DB-RT-05") }
}

/// SYNC: what current values beside the history cost, and where it ends.
final class SynchronisationTests: ScenarioCase {
    func test_SYNC_BASELINE_withoutAndWith() async throws { try await Self.verify("SYNC-BASELINE") }
    func test_SYNC_ESCALATION_loadRises() async throws { try await Self.verify("SYNC-ESCALATION") }
    func test_SYNC_STORM_aHundredTransactions() async throws { try await Self.verify("SYNC-STORM") }
    func test_SYNC_POOL_moreWorkersThanConnections() async throws { try await Self.verify("SYNC-POOL") }
    func test_SYNC_MEMORY_batchesOfAllSizes() async throws { try await Self.verify("SYNC-MEMORY") }
    func test_SYNC_RECOVERY_faultsInTheMiddle() async throws { try await Self.verify("SYNC-RECOVERY") }
    func test_SYNC_BREAKING_theBreakingPoint() async throws { try await Self.verify("SYNC-BREAKING") }
}
