"""``livematte version`` and ``--version``."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

import livematte
from livematte.printable import printable

_PARTS = ("av", "numpy", "opencv-python-headless", "numba", "onnxruntime", "openvino", "torch", "safetensors")


def version(
    licences: Annotated[
        bool,
        typer.Option(
            "--licences", metavar="", help="Print the licences of all packages, and what the GPL means here."
        ),
    ] = False,
    sbom: Annotated[
        bool, typer.Option("--sbom", metavar="", help="Print a bill of materials as CycloneDX JSON.")
    ] = False,
) -> None:
    """Print the versions of livematte, its dependencies and the system, for a bug report."""
    if sbom:
        from livematte.tools.licences import bill_of_materials

        print(json.dumps(bill_of_materials(), indent=1))
    elif licences:
        _show_licences()
    else:
        show_version(verbose=True)


def _show_licences() -> None:
    from livematte.tools.licences import components, gpl_notes

    for each in components():
        print(printable(f"{each.name} {each.version}: {each.licence}"))
    print("The weights of the models are for research: see weights/LICENSE in the folder of each model.")
    for note in gpl_notes():
        print(f"\n{printable(note)}")


def show_version(*, verbose: bool) -> None:
    """Print the version; with ``verbose`` also those of the dependencies, FFmpeg and the system."""
    print(f"livematte {livematte.__version__}")
    if not verbose:
        return
    print(f"Python {platform.python_version()} on {platform.platform()} ({platform.machine()})")
    print(f"  from {sys.executable}")
    for part in _PARTS:
        try:
            print(f"{part} {installed(part)}")
        except PackageNotFoundError:
            print(f"{part} is not installed")
    import av

    print(f"FFmpeg {av.ffmpeg_version_info}")
    for library, numbers in sorted(av.library_versions.items()):
        print(f"  {library} {'.'.join(map(str, numbers))}")
