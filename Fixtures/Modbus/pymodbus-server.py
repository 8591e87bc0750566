#!/usr/bin/env python3
"""A Modbus TCP device that shares no code with ours: pymodbus serving a register map with fixed values.

    python3 pymodbus-server.py --map ../Machine/machine-51.csv --values '[20.5, 21, …]'
    python3 pymodbus-server.py --index 10000

Prints `listening PORT` on standard output when it is ready, and ends on SIGTERM, on Ctrl-C, or when its standard
input closes: a test that dies takes its peer with it. Coils, discrete inputs, holding and input registers are four
separate spaces; each answers every address up to the end of its last parameter (zero where no parameter lies), so
that a client may read over gaps, and exception 02 beyond. Every unit id is answered. With `--index` they have that many
addresses each, register i holding i and bit i holding i AND 1, like the servers in the folder Peers.

The four word orders name the bytes of a 32-bit value on the wire, `a` being the most significant.
123456.0 is  47F1 2000 (abcd) · 2000 47F1 (cdab) · F147 0020 (badc) · 0020 F147 (dcba).
A 16-bit value has one register, whose byte order the protocol fixes: `--word-order` does not touch it.
"""

import argparse
import asyncio
import csv
import json
import math
import os
import signal
import struct
import sys
import threading

from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

SPACES = ("coil", "discrete_input", "holding_register", "input_register")  # the order that SimDevice wants
PACKED = {"float": ">f", "int32": ">i", "uint32": ">I", "int16": ">h", "uint16": ">H"}
WORD_ORDERS = {"abcd": (0, 1, 2, 3), "badc": (1, 0, 3, 2), "cdab": (2, 3, 0, 1), "dcba": (3, 2, 1, 0)}


class MapError(Exception):
    """Something in the map or the values that cannot be served; the message says where."""


def cells(data_type, value, word_order):
    """The coils (booleans) or registers (16-bit integers) that hold one value."""
    if data_type == "binary":
        return [value != 0]
    if data_type not in PACKED:
        raise MapError(f"data type '{data_type}', expected binary or one of {', '.join(PACKED)}")
    number = value if data_type == "float" else round(value)
    try:
        packed = struct.pack(PACKED[data_type], number)
    except (struct.error, OverflowError) as error:
        raise MapError(f"{value} does not fit into {data_type}") from error
    if len(packed) == 4:
        packed = bytes(packed[index] for index in WORD_ORDERS[word_order])
    return [register for (register,) in struct.iter_unpack(">H", packed)]


def place(space, name, address, content):
    """Puts the cells of one parameter into its space, refusing what another one occupies."""
    if not 0 <= address <= 65536 - len(content):
        raise MapError(f"address {address} leaves the space of 0…65535")
    for offset, cell in enumerate(content):
        if address + offset in space:
            raise MapError(f"{name} {address + offset} is taken by an earlier row")
        space[address + offset] = cell


def load(path, values, word_order):
    """The four spaces, as {address: cell}, filled from the map and the values."""
    spaces = {name: {} for name in SPACES}
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        count = 0
        for row in rows:
            count += 1
            try:
                if values is not None and count > len(values):
                    raise MapError(f"there are only {len(values)} values")
                value = float(row["initial"] if values is None else values[count - 1])
                if math.isnan(value) and row["data_type"] != "float":
                    raise MapError(f"not a number cannot be a {row['data_type']}")
                content = cells(row["data_type"], value, word_order)
                read = (row["read_type"], row["read_address"])
                write = (row["write_type"], row["write_address"])
                for name, address in [read] if write in (read, ("", "")) else [read, write]:
                    if name not in spaces:
                        raise MapError(f"space '{name}', expected one of {', '.join(SPACES)}")
                    if (name in SPACES[:2]) != (row["data_type"] == "binary"):
                        raise MapError(f"a {row['data_type']} cannot lie in {name}")
                    place(spaces[name], name, int(address), content)
            except (MapError, ValueError, KeyError, TypeError) as error:
                raise MapError(f"{path}:{rows.line_num}: {error}") from error
    if values is not None and count != len(values):
        raise MapError(f"{len(values)} values for {count} rows of {path}")
    return spaces


def index_spaces(size):
    """The four spaces, each address holding itself."""
    return {
        name: {address: address & 1 == 1 if name in SPACES[:2] else address for address in range(size)} for name in SPACES
    }


def block(space, bits):
    """One contiguous pymodbus block from address 0 to the last cell in use; it may not be empty."""
    empty, kind = (False, DataType.BITS) if bits else (0, DataType.REGISTERS)
    end = max(space, default=0) + 1
    return [SimData(0, values=[space.get(address, empty) for address in range(end)], datatype=kind)]


async def serve(spaces, port):
    """Serves until a signal or the end of standard input."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def watch_input():
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    blocks = tuple(block(spaces[name], bits=index < 2) for index, name in enumerate(SPACES))
    device = SimDevice(0, simdata=blocks)  # id 0 answers for every unit
    identity = ModbusDeviceIdentification(
        info_name={"VendorName": "Foreign", "ProductCode": "PEER", "MajorMinorRevision": "1.0"}
    )
    server = ModbusTcpServer(device, address=("127.0.0.1", port), identity=identity)
    await server.serve_forever(background=True)
    print(f"listening {server.transport.sockets[0].getsockname()[1]}", flush=True)
    threading.Thread(target=watch_input, daemon=True).start()
    await stop.wait()
    await server.shutdown()


def main():
    """Parses the command line; exit code 2 means that it, the map or the values make no sense."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    content = parser.add_mutually_exclusive_group(required=True)
    content.add_argument("--map", metavar="CSV", help="register map, such as machine-51.csv")
    content.add_argument("--index", type=int, metavar="SIZE", help="four spaces of so many addresses, no map")
    parser.add_argument("--word-order", choices=sorted(WORD_ORDERS), default="cdab", help="defaults to %(default)s")
    parser.add_argument("--values", metavar="JSON", help="one number per row; defaults to the column 'initial'")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0, the default, takes a free one")
    arguments = parser.parse_args()
    try:
        values = None if arguments.values is None else json.loads(arguments.values)
        if values is not None and not isinstance(values, list):
            raise MapError("--values is not a JSON array")
        spaces = (
            load(arguments.map, values, arguments.word_order) if arguments.map else index_spaces(arguments.index)
        )
    except (MapError, OSError, json.JSONDecodeError) as error:
        parser.error(str(error))
    try:
        asyncio.run(serve(spaces, arguments.port))
    except RuntimeError as error:  # pymodbus reports a port in use this way
        sys.exit(f"pymodbus-server: {error}")


if __name__ == "__main__":
    main()
