"""Python runs this first in every process that has this folder in PYTHONPATH. It notes in $WATCHED_LOG which
names and addresses beyond this machine Python code asks for. What libraries do in C it cannot see.
"""

import os
import sys

_LOG = os.environ["WATCHED_LOG"]
_HERE = ("127.", "::1", "localhost", "0.0.0.0")


def _watch(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        where = args[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if not isinstance(args[1], tuple):  # a Unix socket
            return
        where = args[1][0]
    elif event == "urllib.Request":
        where = args[0]
    else:
        return
    name = where.decode("ascii", "replace") if isinstance(where, bytes) else str(where or "localhost")
    if not name.startswith(_HERE):
        line = f"{event} {name} by {' '.join(sys.argv)[:200]}\n".encode()
        with open(_LOG, "ab", buffering=0) as log:
            log.write(line)


sys.addaudithook(_watch)
