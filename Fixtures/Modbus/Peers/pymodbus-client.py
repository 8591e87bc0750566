#!/usr/bin/env python3
"""pymodbus' client, the synchronous one. The calls are those of calling.py."""

import sys

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu.file_message import FileRecord

from calling import UNIT, failed, objects, ok, packed, port_and_calls, refused, registers

port, calls = port_and_calls()
client = ModbusTcpClient("127.0.0.1", port=port, timeout=10, retries=0)
if not client.connect():
    sys.exit("pymodbus-client: no connection")


def bits(reply, count):
    """pymodbus fills up to whole bytes."""
    return reply.bits[:count]


def perform(name, numbers):
    """The reply, and the function that takes its values from it."""
    first, *rest = numbers or [0]
    nothing = lambda reply: ()  # noqa: E731
    match name:
        case "read coils":
            return client.read_coils(first, count=rest[0], device_id=UNIT), lambda reply: bits(reply, rest[0])
        case "read discrete":
            return client.read_discrete_inputs(first, count=rest[0], device_id=UNIT), lambda reply: bits(reply, rest[0])
        case "read holding":
            return client.read_holding_registers(first, count=rest[0], device_id=UNIT), lambda reply: reply.registers
        case "read input":
            return client.read_input_registers(first, count=rest[0], device_id=UNIT), lambda reply: reply.registers
        case "write coil":
            return client.write_coil(first, bool(rest[0]), device_id=UNIT), nothing
        case "write coils":
            return client.write_coils(first, [bool(bit) for bit in rest], device_id=UNIT), nothing
        case "write register":
            return client.write_register(first, rest[0], device_id=UNIT), nothing
        case "write registers":
            return client.write_registers(first, rest, device_id=UNIT), nothing
        case "mask":
            return client.mask_write_register(address=first, and_mask=rest[0], or_mask=rest[1], device_id=UNIT), nothing
        case "exchange":
            return client.readwrite_registers(
                read_address=first, read_count=rest[0], write_address=rest[1], values=rest[2:], device_id=UNIT
            ), lambda reply: reply.registers
        case "readfile":
            record = FileRecord(file_number=first, record_number=rest[0], record_length=rest[1] * 2)
            return client.read_file_record([record], device_id=UNIT), lambda reply: registers(reply.records[0].record_data)
        case "writefile":
            record = FileRecord(file_number=first, record_number=rest[0], record_data=packed(rest[1:]))
            return client.write_file_record([record], device_id=UNIT), nothing
        case "fifo":
            return client.read_fifo_queue(address=first, device_id=UNIT), lambda reply: reply.values
        case "identify":
            return client.read_device_information(read_code=1, device_id=UNIT), lambda reply: objects(reply.information)
        case "status":
            return client.read_exception_status(device_id=UNIT), lambda reply: [reply.status]
        case "echo":
            return client.diag_query_data(packed(numbers), device_id=UNIT), lambda reply: registers(reply.message)
        case "counter":
            return client.diag_get_comm_event_counter(device_id=UNIT), lambda reply: [reply.count]
        case "serverid":
            return client.report_device_id(device_id=UNIT), lambda reply: [reply.identifier.hex()]
    raise ValueError(f"no such call: {name}")


for name, numbers in calls:
    try:
        reply, values = perform(name, numbers)
        if reply.isError():
            refused(reply.exception_code)
        else:
            ok(values(reply))
    except ModbusException as error:
        failed(error)
client.close()
