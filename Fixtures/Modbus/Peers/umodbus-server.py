#!/usr/bin/env python3
"""uModbus' server: one thread for each connection; it looks up every single address in a list of routes.

A request beyond the last address finds no route and is answered with exception 02.
"""

import logging
from socketserver import ThreadingTCPServer
from threading import Thread

from umodbus import conf
from umodbus.server.tcp import RequestHandler, get_server

from serving import BITS, REGISTERS, SIZE, announce, wait_for_end

logging.getLogger("uModbus").disabled = True
conf.SIGNED_VALUES = False
ThreadingTCPServer.allow_reuse_address = True
ThreadingTCPServer.daemon_threads = True
server = get_server(ThreadingTCPServer, ("127.0.0.1", 0), RequestHandler)
coils, registers = list(BITS), list(REGISTERS)


@server.route(function_codes=[1, 5, 15], addresses=range(SIZE))
def coil(slave_id, function_code, address, value=None):
    if value is None:
        return int(coils[address])
    coils[address] = value != 0


@server.route(function_codes=[3, 6, 16], addresses=range(SIZE))
def register(slave_id, function_code, address, value=None):
    if value is None:
        return registers[address]
    registers[address] = value


server.route(function_codes=[2], addresses=range(SIZE))(lambda slave_id, function_code, address: address & 1)
server.route(function_codes=[4], addresses=range(SIZE))(lambda slave_id, function_code, address: address)
Thread(target=server.serve_forever, daemon=True).start()
announce(server.server_address[1])
wait_for_end()
