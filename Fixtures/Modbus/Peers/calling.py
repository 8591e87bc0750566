"""What the foreign clients of this folder share: the words of a call and of its result.

    pymodbus-client.py PORT 'read holding 100 3' 'write coil 3 1' …

    read coils|discrete|holding|input ADDRESS COUNT      write coil|register ADDRESS VALUE
    mask ADDRESS AND OR                                  write coils|registers ADDRESS VALUE…
    exchange READ COUNT WRITE VALUE…   (function 23)     readfile FILE RECORD COUNT    writefile FILE RECORD VALUE…
    fifo ADDRESS        identify        status (07)      echo VALUE (08)    counter (11)    serverid (17)

Numbers are decimal, bits are 0 and 1, the unit is 1. One line is printed for each call, in order: `ok` and the values,
`exception` and its number, or `error` and words.
"""

import struct
import sys

UNIT = 1


def port_and_calls():
    """The port, and for each call its words without the numbers, and the numbers."""
    calls = []
    for call in sys.argv[2:]:
        words = call.split()
        calls.append((" ".join(word for word in words if word.isalpha()), [int(word) for word in words if not word.isalpha()]))
    return int(sys.argv[1]), calls


def registers(data):
    """Bytes as 16-bit values."""
    return [value for (value,) in struct.iter_unpack(">H", data)]


def packed(values):
    """16-bit values as bytes."""
    return struct.pack(f">{len(values)}H", *values)


def objects(identification):
    """The objects of a device identification as one word each."""
    return [f"{number}={bytes(text).decode()}" for number, text in sorted(identification.items())]


def ok(values=()):
    """Prints what a call has brought."""
    print(" ".join(["ok", *(value if isinstance(value, str) else str(int(value)) for value in values)]), flush=True)


def refused(code):
    """Prints that the server answered with an exception."""
    print(f"exception {int(code)}", flush=True)


def failed(error):
    """Prints that no usable answer came."""
    print(f"error {type(error).__name__} " + " ".join(str(error).split()), flush=True)
