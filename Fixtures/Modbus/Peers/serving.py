"""What the foreign servers of this folder share: their content, how they announce themselves, when they end.

All of them serve four tables of SIZE addresses on 127.0.0.1: register i holds i, bit i holds i AND 1.
"""

import os
import signal
import sys

SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
BITS = [index & 1 == 1 for index in range(SIZE)]
REGISTERS = list(range(SIZE))


def announce(port):
    """Prints `listening PORT`: from now on a client may connect."""
    print(f"listening {port}", flush=True)


def wait_for_end():
    """Returns never; the process ends on SIGTERM, or when standard input closes because its parent has died."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while os.read(0, 4096):
        pass
    os._exit(0)
