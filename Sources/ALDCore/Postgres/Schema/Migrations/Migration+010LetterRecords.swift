extension Migration {
    /// Reads a dead letter's record from its bytes, so that nobody has to be trusted to have read it right.
    static let letterRecordsScript = """
        CREATE FUNCTION ald_history.read_integer(p_bytes bytea, p_from int, p_length int) RETURNS bigint
        LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            digits text := encode(substr(p_bytes, p_from, p_length), 'hex');
        BEGIN
            IF length(digits) <> p_length * 2 THEN
                RAISE EXCEPTION 'the record is cut short' USING ERRCODE = 'invalid_binary_representation';
            END IF;
            RETURN CASE p_length WHEN 2 THEN ('x' || digits)::bit(16)::bit(32)::int >> 16
                WHEN 4 THEN ('x' || digits)::bit(32)::int ELSE ('x' || digits)::bit(64)::bigint END;
        END $$;
        COMMENT ON FUNCTION ald_history.read_integer IS
            'A big-endian integer of 2, 4 or 8 bytes that begins at the given byte, counted from 1.';

        CREATE FUNCTION ald_history.read_time(p_bytes bytea, p_from int) RETURNS timestamptz
        LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            microseconds CONSTANT bigint := ald_history.read_integer(p_bytes, p_from, 8);
        BEGIN
            -- in two parts: the product of an interval is exact up to 2^53
            RETURN timestamptz 'epoch' + (microseconds / 1000000) * interval '1 second'
                + (microseconds % 1000000) * interval '1 microsecond';
        END $$;
        COMMENT ON FUNCTION ald_history.read_time IS 'Microseconds since 1970 at the given byte, as a time.';

        CREATE FUNCTION ald_history.read_float(p_bytes bytea, p_from int) RETURNS float8
        LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            bits CONSTANT bigint := ald_history.read_integer(p_bytes, p_from, 8);
            exponent CONSTANT int := (bits >> 52) & 2047;
            fraction CONSTANT bigint := bits & 4503599627370495;
            sign CONSTANT float8 := CASE WHEN bits < 0 THEN -1 ELSE 1 END;
        BEGIN
            IF exponent = 2047 THEN
                RETURN CASE WHEN fraction <> 0 THEN 'NaN'::float8 ELSE sign * 'Infinity'::float8 END;
            END IF;
            -- every factor and product is a number of the format, so nothing is rounded
            RETURN CASE WHEN exponent = 0 THEN sign * fraction::float8 * power(2::float8, -1074)
                ELSE sign * (fraction | 4503599627370496)::float8 * power(2::float8, exponent - 1075) END;
        END $$;
        COMMENT ON FUNCTION ald_history.read_float IS 'An IEEE 754 number of 8 bytes at the given byte, exactly.';

        CREATE FUNCTION ald_history.read_text(p_bytes bytea, p_from int) RETURNS text
        LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            length CONSTANT int := ald_history.read_integer(p_bytes, p_from, 4);
        BEGIN
            IF length < 0 OR p_from + 3 + length > octet_length(p_bytes) THEN
                RAISE EXCEPTION 'the record is cut short' USING ERRCODE = 'invalid_binary_representation';
            END IF;
            RETURN convert_from(substr(p_bytes, p_from + 4, length), 'UTF8');
        END $$;
        COMMENT ON FUNCTION ald_history.read_text IS 'A text with its length before it, at the given byte.';

        CREATE FUNCTION ald_history.read_reading(
            p_bytes bytea, OUT parameter_id int, OUT sampled_at timestamptz, OUT value float8, OUT quality smallint
        ) LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF octet_length(p_bytes) <> 22 THEN
                RAISE EXCEPTION 'a reading takes 22 bytes, not %', octet_length(p_bytes)
                    USING ERRCODE = 'invalid_binary_representation';
            END IF;
            parameter_id := ald_history.read_integer(p_bytes, 1, 4);
            sampled_at := ald_history.read_time(p_bytes, 5);
            quality := ald_history.read_integer(p_bytes, 13, 2);
            value := nullif(ald_history.read_float(p_bytes, 15), 'NaN');
        END $$;
        COMMENT ON FUNCTION ald_history.read_reading IS 'A record of format 1: one reading; NaN stands for no value.';

        CREATE FUNCTION ald_history.read_gap(
            p_bytes bytea, OUT first_missed_at timestamptz, OUT last_missed_at timestamptz, OUT instants int,
            OUT cause text, OUT detail text
        ) LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            first_missed_at := ald_history.read_time(p_bytes, 1);
            last_missed_at := ald_history.read_time(p_bytes, 9);
            instants := ald_history.read_integer(p_bytes, 17, 4);
            cause := ald_history.read_text(p_bytes, 21);
            detail := ald_history.read_text(p_bytes, 25 + octet_length(cause));
            IF octet_length(p_bytes) <> 28 + octet_length(cause) + octet_length(detail) THEN
                RAISE EXCEPTION 'the record is too long' USING ERRCODE = 'invalid_binary_representation';
            END IF;
        END $$;
        COMMENT ON FUNCTION ald_history.read_gap IS 'A record of format 2: one gap.';

        CREATE FUNCTION ald_history.requeue_claim(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, OUT origin bigint, OUT batch_number bigint
        ) LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT ('x' || encode(substr(h, 1, 8), 'hex'))::bit(64)::bigint,
                ('x' || encode(substr(h, 9, 8), 'hex'))::bit(64)::bigint
            FROM sha256(convert_to('dead letter', 'UTF8') || int4send(p_machine_id) || int8send(p_origin)
                || int8send(p_batch) || int4send(p_row)) h
        $$;
        COMMENT ON FUNCTION ald_history.requeue_claim IS
            'The name under which the ledger knows a dead letter''s record once it has landed. It follows from the '
            'letter''s own name alone, so a second one cannot land, whoever sends it.';
        """
}
