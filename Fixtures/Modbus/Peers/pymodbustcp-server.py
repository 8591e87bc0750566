#!/usr/bin/env python3
"""pyModbusTCP's server: one thread for each connection, strict about the header, closes on errors."""

from pyModbusTCP.server import DataBank, DeviceIdentification, ModbusServer

from serving import BITS, REGISTERS, SIZE, announce, wait_for_end

bank = DataBank(coils_size=SIZE, d_inputs_size=SIZE, h_regs_size=SIZE, i_regs_size=SIZE)
bank.set_coils(0, BITS)
bank.set_discrete_inputs(0, BITS)
bank.set_holding_registers(0, REGISTERS)
bank.set_input_registers(0, REGISTERS)
identity = DeviceIdentification(vendor_name=b"Foreign", product_code=b"PEER", major_minor_revision=b"1.0")
server = ModbusServer("127.0.0.1", 0, no_block=True, data_bank=bank, device_id=identity)
server.start()
announce(server._service.socket.getsockname()[1])  # it tells nobody which port it was given
wait_for_end()
