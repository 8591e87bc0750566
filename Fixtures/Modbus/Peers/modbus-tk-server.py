#!/usr/bin/env python3
"""modbus-tk's server: one thread and select for all connections.

It answers what it cannot understand with an exception that has no header, so that no client can find its beginning.
"""

import logging

from modbus_tk import LOGGER, defines, modbus_tcp

from serving import BITS, REGISTERS, SIZE, announce, wait_for_end

LOGGER.setLevel(logging.CRITICAL)
server = modbus_tcp.TcpServer(port=0, address="127.0.0.1")
unit = server.add_slave(1)
bits, registers = [int(bit) for bit in BITS], REGISTERS
for name, table, content in (
    ("coils", defines.COILS, bits),
    ("discrete", defines.DISCRETE_INPUTS, bits),
    ("holding", defines.HOLDING_REGISTERS, registers),
    ("input", defines.ANALOG_INPUTS, registers),
):
    unit.add_block(name, table, 0, SIZE)
    unit.set_values(name, 0, content)
server.start()
while server._sock is None or server._sock.getsockname()[1] == 0:  # its thread binds, and tells nobody which port
    pass
announce(server._sock.getsockname()[1])
wait_for_end()
