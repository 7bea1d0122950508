"""Opens the virtual camera as livematte does and prints whether somebody looks, whenever a line comes in."""

from __future__ import annotations

import sys
import threading
import time
from fractions import Fraction

import numpy as np

from livematte import registry
from livematte.frame import ColorInfo, Frame
from livematte.protocols import LiveFormat

camera = registry.load("sinks", "virtualcam")(LiveFormat(640, 480, Fraction(10)), device=sys.argv[1])
grey = tuple(np.full(size, 128, np.uint8) for size in ((480, 640), (240, 320), (240, 320)))
stop = threading.Event()


def send() -> None:
    count = 0
    while not stop.is_set():
        camera.send(Frame(grey, "yuv420p", count, Fraction(1, 10), color=ColorInfo("bt601", False)))
        count += 1
        time.sleep(0.1)


sender = threading.Thread(target=send)
sender.start()
print("ready", flush=True)
for _ in sys.stdin:
    print(camera.watched, flush=True)
stop.set()
sender.join()
camera.close()
