#!/usr/bin/env python3
"""pyModbusTCP's client. The calls are those of calling.py that it knows."""

from pyModbusTCP.client import ModbusClient

from calling import UNIT, failed, objects, ok, port_and_calls, refused

port, calls = port_and_calls()
client = ModbusClient("127.0.0.1", port, unit_id=UNIT, timeout=10)


def perform(name, numbers):
    """The values of the reply; None when there is no good one."""
    first, *rest = numbers or [0]
    match name:
        case "read coils":
            return client.read_coils(first, rest[0])
        case "read discrete":
            return client.read_discrete_inputs(first, rest[0])
        case "read holding":
            return client.read_holding_registers(first, rest[0])
        case "read input":
            return client.read_input_registers(first, rest[0])
        case "write coil":
            return client.write_single_coil(first, rest[0] != 0) or None
        case "write coils":
            return client.write_multiple_coils(first, [bit != 0 for bit in rest]) or None
        case "write register":
            return client.write_single_register(first, rest[0]) or None
        case "write registers":
            return client.write_multiple_registers(first, rest) or None
        case "exchange":
            return client.write_read_multiple_registers(rest[1], rest[2:], first, rest[0])
        case "identify":
            reply = client.read_device_identification()
            return reply and objects(reply.objects_by_id)
    raise ValueError(f"no such call: {name}")


for name, numbers in calls:
    values = perform(name, numbers)
    if values is not None:
        ok(() if values is True else values)
    elif client.last_except:
        refused(client.last_except)
    else:
        failed(RuntimeError(client.last_error_as_txt))
client.close()
