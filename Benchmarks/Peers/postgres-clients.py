"""The foreign side of `Benchmarks/Peers/postgres`: asyncpg and psycopg, doing what our side does. Prints JSON.

    postgres-clients.py asyncpg|psycopg copy ROWS                      one COPY of so many rows
    postgres-clients.py asyncpg|psycopg transactions ROWS SECONDS      COPY of so many rows a transaction, for that long
    postgres-clients.py asyncpg|psycopg trips SECONDS                  SELECT $1::int8, one after the other
    postgres-clients.py asyncpg lease TASKS SECONDS                    so many tasks on a pool of ten connections

The rows are made before the clock starts; encoding them is part of what is measured, as it is on our side.
"""

import asyncio
import json
import os
import resource
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

TABLE = "reading"
COLUMNS = ("machine_id", "parameter_id", "sampled_at", "value", "quality")
TYPES = ("int4", "int4", "timestamptz", "float8", "int2")
START = datetime(2026, 11, 22, tzinfo=timezone.utc)
URL = os.environ["PEERS_DATABASE_URL"]


def readings(count):
    """The same rows that our side and the files for psql hold."""
    return [(1, number % 51 + 1, START + timedelta(milliseconds=number), number * 0.5, 192) for number in range(count)]


def finish(done, seconds, cpu_before):
    """What the caller reads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(json.dumps({
        "done": done, "seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime - cpu_before,
        "rss": pages * os.sysconf("SC_PAGESIZE"),
    }))


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def repeated(seconds, step):
    """Awaits `step` until the time is up; reports the sum of what it returns."""
    before, started, done = cpu(), time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        done += await step()
    finish(done, elapsed, before)


async def with_asyncpg(words):
    import asyncpg
    from psycopg.conninfo import conninfo_to_dict

    # asyncpg takes a URL or these, and the private cluster is named in libpq's other form.
    known = conninfo_to_dict(URL)
    place = {"host": known["host"], "port": int(known["port"]), "user": known["user"], "database": known["dbname"]}
    if words[0] == "lease":
        return await leases(await asyncpg.create_pool(**place, min_size=10, max_size=10), int(words[1]), float(words[2]))
    connection = await asyncpg.connect(**place)

    async def copy(rows):
        tag = await connection.copy_records_to_table(TABLE, records=rows, columns=COLUMNS)
        assert tag == f"COPY {len(rows)}", tag
        return len(rows)

    await perform(words, copy, lambda number: connection.fetchval("SELECT $1::int8", number))
    await connection.close()


async def with_psycopg(words):
    import psycopg

    connection = await psycopg.AsyncConnection.connect(URL, autocommit=True)
    cursor = connection.cursor(binary=True)

    async def copy(rows):
        async with cursor.copy(f"COPY {TABLE} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)") as stream:
            stream.set_types(TYPES)
            for row in rows:
                await stream.write_row(row)
        assert cursor.rowcount == len(rows), cursor.rowcount
        return len(rows)

    async def trip(number):
        await cursor.execute("SELECT %b::int8", (number,))
        return (await cursor.fetchone())[0]

    await perform(words, copy, trip)
    await connection.close()


async def perform(words, copy, trip):
    """One of the jobs that both libraries can do."""
    if words[0] == "copy":
        rows = readings(int(words[1]))
        before, started = cpu(), time.perf_counter()
        done = await copy(rows)
        return finish(done, time.perf_counter() - started, before)
    if words[0] == "transactions":
        rows = readings(int(words[1]))
        return await repeated(float(words[2]), lambda: copy(rows))

    async def one():
        assert await trip(7) == 7
        return 1

    await repeated(float(words[1]), one)


async def leases(pool, tasks, seconds):
    """Takes a connection and gives it back, in so many tasks."""
    before, started = cpu(), time.perf_counter()
    end = started + seconds
    counts = [0] * tasks

    async def work(number):
        while time.perf_counter() < end:
            async with pool.acquire():
                counts[number] += 1

    await asyncio.gather(*(work(number) for number in range(tasks)))
    finish(sum(counts), time.perf_counter() - started, before)
    await pool.close()


if __name__ == "__main__":
    library = {"asyncpg": with_asyncpg, "psycopg": with_psycopg}[sys.argv[1]]
    asyncio.run(library(sys.argv[2:]))
