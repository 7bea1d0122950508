"""Options of calls for many files: ``livematte.render_many`` and ``livematte.farm.watch.watch``."""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from livematte.errors import UsageError
from livematte.options.declaration import Form, Option
from livematte.options.files import RenderOptions

MANY = "Many files"
"""Panel title on the help pages."""


def read_jobs(text: str) -> Mapping[str, Any]:
    """Read ``--jobs``: a number, or ``auto``. Raises UsageError."""
    if text == "auto":
        return {"jobs": None}
    if not text.isdecimal() or len(text) > 6 or int(text) < 1:
        raise UsageError(f"--jobs {text!r} is invalid: use auto, or 1 or more")
    return {"jobs": int(text)}


class FilesOptions(TypedDict, total=False):
    """Choice of input files, and names of their outputs."""

    out_name: Annotated[
        str | None,
        Option(
            None,
            "Name of each output in the output folder; [b]{stem}[/b] is the name of the input without its "
            "extension, e.g. [b]{stem}-green.mp4[/b]. Default: the name of the input, with an extension "
            "that can be written. [b]--alpha-out[/b] and the other outputs take such names, too.",
            "PATTERN",
            MANY,
        ),
    ]
    recursive: Annotated[
        bool, Option(False, "Also take the videos in sub-folders, and keep these.", panel=MANY)
    ]
    jobs: Annotated[
        int | None,
        Option(
            None,
            "Number of files that are rendered at the same time; [b]auto[/b] chooses by memory and cores.",
            "N",
            MANY,
            least=1,
            form=Form(read_jobs, str, "auto"),
        ),
    ]


class ClusterOptions(TypedDict, total=False):
    """Machines of a cluster."""

    cluster: Annotated[
        str | None,
        Option(
            None,
            "Render segments of the files on the machines of a Ray cluster: [b]auto[/b] (the one on this "
            "computer), [b]HOST:6379[/b] or [b]ray://HOST:10001[/b]. See docs/farm.md.",
            "ADDRESS",
            MANY,
            examples=("auto",),
        ),
    ]


class ManyOptions(FilesOptions, ClusterOptions, total=False):
    """Options for many files, besides those of a render."""

    resume: Annotated[
        bool,
        Option(
            True,
            "Skip files whose output is whole and made from the same input with the same options.",
            panel=MANY,
        ),
    ]


def read_price(text: str) -> Mapping[str, Any]:
    """Read ``--price``: a number for all machines, or ``cpu=0.4,gpu=2.5``. Raises UsageError."""
    prices: dict[str, float] = {}
    for each in text.split(","):
        kind, _, number = each.strip().rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if kind not in ("", "cpu", "gpu") or not 0 <= value < float("inf"):
            raise UsageError(f"--price {text!r} is invalid: use a number such as 0.40, or cpu=0.40,gpu=2.50")
        prices |= {kind: value} if kind else {"cpu": value, "gpu": value}
    return {"price": prices}


class PlanOptions(TypedDict, total=False):
    """Options of ``livematte.farm.plan.plan_many`` besides those of the render."""

    plan: Annotated[
        bool,
        Option(
            False,
            "Measure the machines of the cluster with a few seconds of the videos, print how long the render "
            "will take and with [b]--price[/b] what it will cost, and stop.",
            panel=MANY,
            flags=("--plan",),
        ),
    ]
    price: Annotated[
        Mapping[str, float] | None,
        Option(
            None,
            "For [b]--plan[/b]: price of a machine for an hour, one number or [b]cpu=0.40,gpu=2.50[/b].",
            "PRICE",
            MANY,
            form=Form(read_price, str),
        ),
    ]


class RenderManyOptions(RenderOptions, ManyOptions, total=False):
    """Options of ``livematte.render_many``."""


class WatchOptions(RenderOptions, FilesOptions, total=False):
    """Options of ``livematte.farm.watch.watch``."""

    settle: Annotated[
        float,
        Option(
            5.0,
            "A file is complete if its size and time have not changed for this time.",
            "SECONDS",
            MANY,
            above=0,
            unit="seconds",
        ),
    ]
