"""Targets of :mod:`benchmarks.fuzz`: livematte's own functions that read a file.

``python -m benchmarks.fuzztargets CORPUS SEED`` is a worker: it reads numbers of cases from standard input
and answers each with one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

from benchmarks.fuzzcases import Case, make_case
from livematte.errors import LivematteError

MEMORY = 4 << 30
"""Address space of a worker in bytes, on systems that can limit it."""

CPU_SECONDS = 20
"""CPU time of a case. It does not depend on what else the machine does."""

_FRAMES = 6


def read_video(path: Path) -> None:
    """Open a video as ``render`` does and decode its first frames."""
    from livematte.video.reader import open_video

    with open_video(path) as source:
        json.dumps(source.info.details, default=str)
        for _ in islice(source, _FRAMES):
            pass


def read_picture(path: Path) -> None:
    """Read a background picture."""
    from livematte.matting.backgrounds import read_image

    read_image(path)


def read_weights(path: Path) -> None:
    """Check a weight file of the user and read its tensors."""
    from livematte.inference.weights import check_user_weights, read_safetensors_metadata, read_tensors

    read_safetensors_metadata(check_user_weights(path))
    read_tensors(path)


def read_profile(path: Path) -> None:
    """Read a profile of ``livematte live`` and one of ``render``."""
    from livematte import profile

    for command in ("live", "render"):
        profile.read_profile(path, command)


def read_card(path: Path) -> None:
    """Read a model card."""
    from livematte.inference.weights import read_card as read

    read(path)


def read_split(path: Path) -> None:
    """Read the list of people for training and validation."""
    from livematte.training.split_file import read_split as read

    read(path)


def read_background(path: Path) -> None:
    """Parse the names of backgrounds; a file that a name means is not opened."""
    from livematte.kernels.color.css import parse_color
    from livematte.matting.backgrounds import is_blur, parse_background

    for spec in path.read_bytes().decode("utf-8", "surrogateescape").split("|"):
        if parse_color(spec) is not None or is_blur(spec):
            parse_background(spec).close()


def read_control(path: Path) -> None:
    """Receive a request of the control protocol, which ends a connection with ValueError or EOFError."""
    from livematte.streaming.control_client import receive
    from livematte.streaming.control_link import REQUEST_BYTES, keys_match

    async def read() -> None:
        reader = asyncio.StreamReader(limit=REQUEST_BYTES)
        reader.feed_data(path.read_bytes()[: 1 << 15] + b"\n")
        reader.feed_eof()
        keys_match((await receive(reader)).get("key"), "K")

    with suppress(ValueError, EOFError):
        asyncio.run(read())


TARGETS: dict[str, Callable[[Path], None]] = {
    "video": read_video,
    "picture": read_picture,
    "weights": read_weights,
    "profile": read_profile,
    "card": read_card,
    "split": read_split,
    "background": read_background,
    "control": read_control,
}
"""Functions by kind of case. LivematteError is the right answer to a bad file, every other error a fault."""


def run_case(case: Case, folder: Path) -> str:
    """Run one case in this process; return the traceback of a fault, or an empty text."""
    path = folder / case.name
    path.write_bytes(case.data)
    try:
        TARGETS[case.kind](path)
    except LivematteError as error:
        if "bug in livematte" in str(error) or "\n" in str(error):
            return traceback.format_exc()
    except BaseException:
        return traceback.format_exc()
    return ""


def limit_memory() -> None:
    """Limit the address space of this process to :data:`MEMORY`, where the system can."""
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))


def limit_time() -> None:
    """End this process with SIGXCPU after :data:`CPU_SECONDS` more, where the system can."""
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + CPU_SECONDS, hard))


def main() -> None:
    """Answer each number on standard input with ``{"number": n, "fault": traceback}``."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    corpus = [
        Case(*each, data=Path(file).read_bytes()) for *each, file in json.loads(Path(sys.argv[1]).read_text())
    ]
    limit_memory()
    with tempfile.TemporaryDirectory() as folder, closing(answers):
        for line in sys.stdin:
            limit_time()
            fault = run_case(make_case(corpus, int(sys.argv[2]), int(line)), Path(folder))
            print(json.dumps({"number": int(line), "fault": fault}), file=answers, flush=True)


if __name__ == "__main__":
    main()
