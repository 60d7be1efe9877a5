"""A Modbus server by pymodbus. Usage: pymodbus_server.py tcp | rtu DEVICE, and the registers as JSON on stdin.

{"unit": 17, "registers": [[table, address, type, order, value], …], "bits": {table: [address, [0, 1, …]]}}: pymodbus
itself turns each value into registers; it knows no swapped bytes and no BCD, that is done here. The registers of type
"live" are two, high word first, and count how often they were read. Prints its port, or "ready", then serves until it
is killed."""

import asyncio
import json
import sys

from pymodbus import FramerType
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

TYPES = {
    "u16": "UINT16", "i16": "INT16", "u32": "UINT32", "i32": "INT32", "u64": "UINT64", "i64": "INT64",
    "f32": "FLOAT32", "f64": "FLOAT64", "string": "STRING", "bcd16": "UINT16", "bcd32": "UINT32", "live": "UINT32",
}


def registers(kind, order, value):
    kind = kind.split("(")[0]
    if kind.startswith("bcd"):
        value = int(str(value), 16)
    is_low_first = kind != "string" and order in ("CDAB", "DCBA")
    held = ModbusClientMixin.convert_to_registers(
        value, ModbusClientMixin.DATATYPE[TYPES[kind]], word_order="little" if is_low_first else "big"
    )
    if order in ("BADC", "DCBA"):
        held = [register >> 8 | (register & 0xFF) << 8 for register in held]
    return held


def device(image):
    tables = {
        table: [SimData(address, values=[bool(bit) for bit in bits], datatype=DataType.BITS)]
        for table, (address, bits) in image["bits"].items()
    }
    live = []
    for table, address, kind, order, value in image["registers"]:
        data = SimData(address, values=registers(kind, order, value), datatype=DataType.REGISTERS)
        tables.setdefault(table, []).append(data)
        if kind == "live":
            live.append((3 if table == "holding" else 4, address))

    async def read(function, start, asked, count, current, _written):
        for table, address in live:
            if function == table and asked <= address < asked + count:
                at = address - start
                parts = (current[at] << 16 | current[at + 1]) + 1
                current[at : at + 2] = [parts >> 16, parts & 0xFFFF]

    return SimDevice(
        image["unit"], tuple(tables[table] for table in ("coil", "discrete", "holding", "input")), action=read
    )


async def main():
    held = device(json.load(sys.stdin))
    if sys.argv[1] == "tcp":
        server = ModbusTcpServer(held, address=("127.0.0.1", 0))
        assert await server.listen()
        print(server.transport.sockets[0].getsockname()[1], flush=True)
    else:
        server = ModbusSerialServer(
            held, framer=FramerType.RTU, port=sys.argv[2], baudrate=19200, parity="N", ignore_missing_devices=True
        )
        assert await server.listen()
        print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
