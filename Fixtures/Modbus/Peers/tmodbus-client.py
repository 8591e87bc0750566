#!/usr/bin/env python3
"""tmodbus' client, which sends without waiting for earlier answers. The calls are those of calling.py.

With the word `together` before them all calls are made at the same time on one connection; the results are printed in
the order of the calls.
"""

import asyncio
import sys

from tmodbus import create_async_tcp_client
from tmodbus.exceptions import ModbusResponseError, TModbusError

from calling import UNIT, failed, objects, ok, packed, port_and_calls, refused, registers

together = sys.argv[2:3] == ["together"]
if together:
    del sys.argv[2]


async def perform(client, name, numbers):
    """The values of the reply."""
    first, *rest = numbers or [0]
    match name:
        case "read coils":
            return await client.read_coils(first, rest[0])
        case "read discrete":
            return await client.read_discrete_inputs(first, rest[0])
        case "read holding":
            return await client.read_holding_registers(first, rest[0])
        case "read input":
            return await client.read_input_registers(first, rest[0])
        case "write coil":
            await client.write_single_coil(first, rest[0] != 0)
        case "write coils":
            await client.write_multiple_coils(first, [bit != 0 for bit in rest])
        case "write register":
            await client.write_single_register(first, rest[0])
        case "write registers":
            await client.write_multiple_registers(first, rest)
        case "mask":
            await client.mask_write_register(first, *rest)
        case "exchange":
            return await client.read_write_multiple_registers(first, rest[0], rest[1], rest[2:])
        case "readfile":
            return registers(await client.read_file_record(first, *rest))
        case "writefile":
            await client.write_file_record(first, rest[0], packed(rest[1:]))
        case "fifo":
            return await client.read_fifo_queue(first)
        case "identify":
            return objects(await client.read_device_identification(1, 0))
        case "status":
            return [await client.read_exception_status()]
        case "echo":
            return registers(await client.diag_read_query_data(packed(numbers)))
        case "counter":
            return [(await client.get_comm_event_counter()).event_count]
        case "serverid":
            return [bytes((await client.read_server_id()).server_id).hex()]
        case _:
            raise ValueError(f"no such call: {name}")
    return ()


async def main():
    """Makes all calls and prints their results."""
    port, calls = port_and_calls()
    client = create_async_tcp_client("127.0.0.1", port, unit_id=UNIT, timeout=10.0, auto_reconnect=False)
    async with client:
        if together:
            results = await asyncio.gather(*(perform(client, *call) for call in calls), return_exceptions=True)
        else:
            results = []
            for call in calls:
                results += await asyncio.gather(perform(client, *call), return_exceptions=True)
    for values in results:
        if isinstance(values, ModbusResponseError):
            refused(values.error_code)
        elif isinstance(values, (TModbusError, TimeoutError)):
            failed(values)
        elif isinstance(values, BaseException):
            raise values
        else:
            ok(values)


asyncio.run(main())
