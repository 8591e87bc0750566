import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension HistoryTests {
    /// Rollups and retention against a plain copy of everything that was ever accepted.
    @Suite struct Rollups {
        typealias Base = HistoryDatabase

        /// Days of batches in any order, late, doubled, with readings of one parameter at one instant twice, while old
        /// days are dropped: after every maintenance each resolution equals a direct sum over all readings.
        @Test(.timeLimit(.minutes(3)), arguments: [0.1, 0.7])
        func equalADirectSumOverAllReadingsHoweverTheyCame(seed: Double) async throws {
            try await Base.with { connection, _ in
                try await connection.run(Self.campaign)
                try await connection.run(
                    """
                    UPDATE ald_history.retention SET raw_days = 2, five_minute_days = 4, hour_days = 5,
                        unreconciled = '0';
                    SELECT setseed(\(seed));
                    """)
                try await connection.run("CALL public.campaign()")
                let totals = try await connection.query(
                    "SELECT dropped, late, compared FROM public.totals", deadline: .patience)
                let row = try #require(totals.first)
                #expect(try row.decode(0, as: Int64.self) > 5, "retention was not exercised")
                #expect(try row.decode(1, as: Int64.self) > 50, "late readings were not exercised")
                #expect(try row.decode(2, as: Int64.self) > 500)
            }
        }

        @Test func whatIsInNoRollupYetOrMayStillBeReconciledIsNotDropped() async throws {
            try await Base.with { connection, _ in
                _ = try await Base.record(Base.cycle(at: Base.noon), on: connection)
                // A limit of no buckets: the rollups cannot follow.
                let waiting = try await connection.query(
                    "SELECT dropped, hindrance FROM ald.maintain('2026-03-01Z', 0)", deadline: .patience)
                #expect(try waiting.first?.decode(0, as: Int32.self) == 0)
                #expect(try waiting.first?.decode(1, as: String.self).contains("not in the rollups yet") == true)
                let late = Base.noon.advanced(by: .seconds(30 * 86_400))
                // The ledger says that the batch was applied just now, by the server's clock.
                try await connection.run("UPDATE ald_history.ingest_batches SET applied_at = '2026-02-05 18:00Z'")
                let held = try await HistoryMaintenance.maintain(on: connection, now: late, deadline: .patience)
                #expect(held.rolledUp == 1 && held.dropped == 0)
                #expect(held.hindrance?.contains("arrived within the last") == true)
                let freed = try await HistoryMaintenance.maintain(
                    on: connection, now: late.advanced(by: .seconds(2 * 86_400)), deadline: .patience)
                #expect(freed.dropped > 0 && freed.hindrance == nil)
                #expect(try await connection.number("SELECT count(*) FROM ald.parameter_value_history") == 0)
                #expect(try await connection.number("SELECT sum(n) FROM ald.parameter_rollup_1d") == 9)
            }
        }

        @Test func aReadingOfADroppedDayIsKeptAndCountedOnce() async throws {
            try await Base.with { connection, _ in
                _ = try await Base.record(Base.cycle(at: Base.noon), on: connection)
                try await connection.run("UPDATE ald_history.ingest_batches SET applied_at = '2026-01-07 12:00Z'")
                let later = Base.noon.advanced(by: .seconds(12 * 86_400))
                for _ in 0..<2 {
                    _ = try await HistoryMaintenance.maintain(on: connection, now: later, deadline: .patience)
                }
                let (rows, name) = (Base.cycle(at: Base.noon.advanced(by: .seconds(1)), value: 0.5), UUID())
                for _ in 0..<2 { _ = try await Base.record(rows, name, on: connection) }
                #expect(try await connection.number("SELECT count(*) FROM ald.parameter_value_history") == 10)
                for late: Int32 in [10, 0] {
                    let report = try await HistoryMaintenance.maintain(on: connection, now: later, deadline: .patience)
                    #expect(report.late == late)
                    for tier in ["5m", "1h", "1d"] {
                        #expect(
                            try await connection.number(
                                """
                                SELECT count(*) FROM ald.parameter_rollup_\(tier) WHERE n_good + n_bad = 2
                                    AND (n = 2 AND min = parameter_id AND max = parameter_id + 0.5
                                        AND last_value = max AND first_value = min OR parameter_id = 7 AND n = 0)
                                """) == 10)
                    }
                }
                // It is kept as long as others are, from its merge on.
                let end = later.advanced(by: .seconds(8 * 86_400))
                _ = try await HistoryMaintenance.maintain(on: connection, now: end, deadline: .patience)
                #expect(try await connection.number("SELECT count(*) FROM ald.parameter_value_history") == 0)
                #expect(try await connection.number("SELECT sum(n) FROM ald.parameter_rollup_1d") == 18)
            }
        }

        @Test func aReaderDelaysADropAndNoWriter() async throws {
            try await Base.with { connection, database in
                _ = try await Base.record(Base.cycle(at: Base.noon), on: connection)
                try await connection.run("UPDATE ald_history.ingest_batches SET applied_at = '2026-01-07 12:00Z'")
                let later = Base.noon.advanced(by: .seconds(20 * 86_400))
                try await TestDatabase.withConnection(database) { reader, _ in
                    try await reader.run("BEGIN; SELECT count(*) FROM ald.parameter_value_history")
                    let report = try await HistoryMaintenance.maintain(on: connection, now: later, deadline: .patience)
                    #expect(report.rolledUp == 1 && report.hindrance == "somebody reads the history for long")
                    #expect(try await Base.record(Base.cycle(at: later), on: connection).isNew)
                    try await reader.run("COMMIT")
                }
                try await connection.run("UPDATE ald_history.ingest_batches SET applied_at = '2026-01-07 12:00Z'")
                let report = try await HistoryMaintenance.maintain(on: connection, now: later, deadline: .patience)
                #expect(report.dropped > 0)
            }
        }

        @Test func nobodyDropsByAClockThatIsAhead() async throws {
            try await Base.with { connection, _ in
                for call in [
                    "ald.maintain(clock_timestamp() + interval '2 h')", "ald.maintain('infinity')",
                    "ald.prune_ledger(clock_timestamp() + interval '2 h')",
                ] {
                    let error = try await failure { try await connection.run("SELECT \(call)") }
                    #expect(error.message.contains("it is not yet"))
                }
            }
        }

        @Test func aSeriesHasTheResolutionThatIsKeptAndFits() async throws {
            try await Base.with { connection, _ in
                for second in 0..<3 {
                    _ = try await Base.record(
                        Base.cycle(at: Base.noon.advanced(by: .seconds(second * 400))), on: connection)
                }
                _ = try await HistoryMaintenance.maintain(
                    on: connection, now: Base.noon.advanced(by: .seconds(7200)), deadline: .patience)
                func widths(_ to: String, _ points: Int) async throws -> [String] {
                    try await connection.query(
                        """
                        SELECT width::text || ' ' || n || ' ' || mean
                        FROM ald.parameter_series(1, 4, '2026-01-07 12:00Z', '\(to)', \(points))
                        """, deadline: .patience
                    ).map { try $0.decode(0, as: String.self) }
                }
                #expect(try await widths("2026-01-07 12:10Z", 1000) == ["00:00:00 1 4", "00:00:00 1 4"])
                #expect(try await widths("2026-01-07 13:00Z", 1000).count == 3)
                #expect(try await widths("2026-01-07 13:00Z", 1000).first == "00:05:00 1 4")
                #expect(try await widths("2026-01-08 12:00Z", 100) == ["01:00:00 3 4"])
                try await connection.run("UPDATE ald_history.retention SET raw_floor = '2026-01-08'")
                #expect(try await widths("2026-01-07 12:10Z", 1000).count == 2)
                #expect(try await widths("2026-01-07 12:10Z", 1000).first == "00:05:00 1 4")
            }
        }
    }
}

extension HistoryTests.Rollups {
    /// `truth` gets what the ledger accepted as new, and is never dropped. Values are eighths, so sums are exact.
    static let campaign = """
        CREATE TABLE public.truth (machine_id int, parameter_id int, sampled_at timestamptz, value float8, quality int2);
        CREATE TABLE public.totals AS SELECT 0::bigint AS dropped, 0::bigint AS late, 0::bigint AS compared;

        CREATE FUNCTION public.differences(tier text, width interval, floor date) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE found bigint;
        BEGIN
            EXECUTE format('
                CREATE TEMP TABLE direct ON COMMIT DROP AS
                SELECT machine_id, parameter_id, date_bin(%L, sampled_at, ''epoch'') AS bucket,
                    count(*) FILTER (WHERE quality = 192)::int AS n_good,
                    count(*) FILTER (WHERE quality = 64)::int AS n_uncertain,
                    count(*) FILTER (WHERE quality = 0)::int AS n_bad, count(value)::int AS n,
                    coalesce(sum(value), 0) AS sum, coalesce(sum(value * value), 0) AS sumsq, min(value), max(value),
                    min(sampled_at) FILTER (WHERE value IS NOT NULL) AS first_at,
                    max(sampled_at) FILTER (WHERE value IS NOT NULL) AS last_at,
                    (array_agg(value ORDER BY sampled_at, value) FILTER (WHERE value IS NOT NULL))[1],
                    (array_agg(value ORDER BY sampled_at DESC, value DESC) FILTER (WHERE value IS NOT NULL))[1] AS l
                FROM public.truth WHERE sampled_at >= %L GROUP BY 1, 2, 3', width, floor);
            EXECUTE format('
                CREATE TEMP TABLE stored ON COMMIT DROP AS
                SELECT machine_id, parameter_id, bucket, n_good, n_uncertain, n_bad, n, sum, sumsq, min, max,
                    first_at, last_at, first_value, last_value FROM ald_history.rollup_%s', tier);
            SELECT count(*) INTO found FROM ((TABLE direct EXCEPT ALL TABLE stored)
                UNION ALL (TABLE stored EXCEPT ALL TABLE direct)) d;
            UPDATE public.totals t SET compared = t.compared + (SELECT count(*) FROM stored);
            DROP TABLE direct, stored;
            RETURN found;
        END $$;

        CREATE FUNCTION public.shoot(batch bigint, base timestamptz) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            machine int := 1 + floor(random() * 2);
            n int := 1 + floor(random() * 40);
            ps int[]; ts timestamptz[]; vs float8[]; qs int2[];
            status int; day date;
        BEGIN
            SELECT array_agg(1 + floor(random() * 5)), array_agg(base - make_interval(secs => floor(
                    random() * CASE WHEN random() < 0.2 THEN 600000 ELSE 400 END))),
                array_agg((ARRAY[192, 192, 64, 0])[1 + floor(random() * 4)]) INTO ps, ts, qs FROM generate_series(1, n);
            SELECT array_agg(CASE WHEN q > 0 THEN floor(random() * 1000) / 8 END) INTO vs FROM unnest(qs) q;
            FOR day IN SELECT DISTINCT (t AT TIME ZONE 'UTC')::date FROM unnest(ts) t LOOP
                PERFORM ald.ensure_history_partitions(day, 1);
            END LOOP;
            FOR attempt IN 1..1 + floor(random() * 2) LOOP
                IF random() < 0.5 THEN
                    status := ald.apply_history_batch(machine, 1, batch, n, sha256(ts::text::bytea), ps, ts, vs, qs);
                ELSE
                    status := (ald.record_cycle(machine, 1, batch, n, sha256(ts::text::bytea), ps, ts, vs, qs)).status;
                END IF;
                IF status = 1 THEN INSERT INTO public.truth SELECT machine, u.* FROM unnest(ps, ts, vs, qs) u; END IF;
            END LOOP;
        END $$;

        CREATE PROCEDURE public.campaign() LANGUAGE plpgsql AS $$
        DECLARE
            now timestamptz := '2026-03-05 00:00Z';
            report record; rule ald_history.retention; wrong text;
        BEGIN
            FOR step IN 1..40 LOOP
                now := now + make_interval(secs => floor(random() * 30000));
                FOR shot IN 1..4 LOOP PERFORM public.shoot(step * 10 + shot, now); END LOOP;
                UPDATE ald_history.ingest_batches SET applied_at = now;
                LOOP
                    SELECT * INTO report FROM ald.maintain(now + interval '6 minutes', 50);
                    UPDATE public.totals t SET dropped = t.dropped + report.dropped, late = t.late + report.late;
                    EXIT WHEN report.rolled_up = 0;
                END LOOP;
                IF step % 8 = 0 THEN
                    SELECT * INTO rule FROM ald_history.retention;
                    SELECT string_agg(tier || ': ' || d, ', ') INTO wrong FROM (
                        SELECT t.tier, public.differences(t.tier, t.width, t.floor) AS d
                        FROM (VALUES ('5m', interval '5 minutes', rule.five_minute_floor),
                            ('1h', '1 hour', rule.hour_floor), ('1d', '1 day', '-infinity')) t(tier, width, floor)) x
                    WHERE d > 0;
                    IF wrong IS NOT NULL THEN RAISE EXCEPTION 'step %: rows that differ: %', step, wrong; END IF;
                END IF;
                COMMIT;
            END LOOP;
        END $$;
        """
}
