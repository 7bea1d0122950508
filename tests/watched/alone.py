"""Run a command in a network of its own: python alone.py REPORT COMMAND

Needs Linux, root in a user namespace (``unshare -rnm`` starts this) and ``ip``. The network has this machine
only; what is sent to others comes round to it and is seen. REPORT gets one line for each name asked of the
DNS, which never answers, and for each packet to another machine.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

_ETH_P_ALL, _UDP = 0x0003, 17


def make_network() -> None:
    """One that ends here, and a DNS that is asked at 127.0.0.1."""
    with tempfile.NamedTemporaryFile("w", suffix=".resolv") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        file.flush()
        subprocess.run(["mount", "--bind", file.name, os.path.realpath("/etc/resolv.conf")], check=True)
        for what in ("link set lo up", "route add default dev lo"):
            subprocess.run(["ip", *what.split()], check=True)


def question(dns: bytes) -> str:
    """The name in a DNS query."""
    labels, at = [], 12
    while at < len(dns) and dns[at]:
        labels.append(dns[at + 1 : at + 1 + dns[at]].decode("ascii", "replace"))
        at += 1 + dns[at]
    return ".".join(labels)


def seen(packet: bytes) -> str | None:
    """What is wrong with an IP packet, None if nothing."""
    version = packet[0] >> 4
    start = 4 * (packet[0] & 15) if version == 4 else 40
    raw, protocol = (packet[16:20], packet[9]) if version == 4 else (packet[24:40], packet[6])
    to = ipaddress.ip_address(raw)
    port = struct.unpack("!H", packet[start + 2 : start + 4])[0] if len(packet) >= start + 4 else 0
    if protocol == _UDP and port == 53:
        return f"DNS {question(packet[start + 8 :])}"
    return None if to.is_loopback or to.is_multicast else f"packet to {to} port {port}"


def watch(report: Path, ready: threading.Event) -> None:
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)) as all,
        open(report, "a") as out,
    ):
        all.bind(("lo", _ETH_P_ALL))
        ready.set()
        while True:
            packet, address = all.recvfrom(65535)
            if address[2] == socket.PACKET_OUTGOING:  # on lo each comes twice
                continue
            found = seen(packet) if packet else None
            if found:
                out.write(found + "\n")
                out.flush()


def main() -> int:
    report, command = Path(sys.argv[1]), sys.argv[2:]
    make_network()
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("127.0.0.1", 53))  # silent: nobody reads it
    ready = threading.Event()
    threading.Thread(target=watch, args=(report, ready), daemon=True).start()
    ready.wait(10)
    report.touch()
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
