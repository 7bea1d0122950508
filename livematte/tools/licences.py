"""Packages that livematte is installed with, their licences, and a software bill of materials of them.

All facts come from the metadata of the installed packages and from the FFmpeg inside PyAV, so that they fit
what is really installed.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

_ROOT = "livematte"
_TOOLS = ("dev", "test")
"""Extras of livematte for its development."""

_GPL_ENCODERS = ("libx264", "libx265")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True)
class Component:
    """An installed package.

    Attributes:
        name, version: as on the package index.
        licence: SPDX expression or name from its metadata; ``unknown`` if it states none.
        requires: names of the installed packages that it needs.
    """

    name: str
    version: str
    licence: str
    requires: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Package URL, the identifier in a bill of materials."""
        return f"pkg:pypi/{_normalized(self.name)}@{self.version}"

    @property
    def copyleft(self) -> bool:
        """True for a licence that makes demands on programs which are distributed with the package."""
        return bool(re.search(r"(?<!L)GPL|(?<!Lesser )General Public", self.licence.replace("LGPL", "")))


def components() -> list[Component]:
    """Return livematte and all installed packages that it needs, by name; not those for its development."""
    found: dict[str, Component] = {}
    waiting = [_ROOT]
    while waiting:
        name = waiting.pop()
        if _normalized(name) in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:  # for another system, or an extra that is not installed
            continue
        needed = tuple(sorted(each for each in _needed(package) if _is_installed(each)))
        own = package.metadata["Name"] or name
        found[_normalized(name)] = Component(own, package.version, licence_name(package), needed)
        waiting.extend(needed)
    return sorted(found.values(), key=lambda each: each.name.lower())


def licence_name(package: Distribution) -> str:
    """Return the licence in the metadata of a package, in one line."""
    facts: Any = package.metadata
    expression = facts.get("License-Expression")
    if expression:
        return str(expression)
    classified = [
        each.rpartition(" :: ")[2]
        for each in facts.get_all("Classifier", [])
        if each.startswith("License ::") and each != "License :: OSI Approved"
    ]
    text = str(facts.get("License") or "").strip()
    if classified and not (text and len(text) < 60 and "\n" not in text):
        return " AND ".join(classified)
    return text.splitlines()[0][:80] if text else "unknown"


def gpl_notes() -> list[str]:
    """Return what a GPL part that is installed means for whoever redistributes it; empty without one."""
    import av.codec

    notes = []
    built = [name for name in _GPL_ENCODERS if name in av.codec.codecs_available]
    if built:
        notes.append(
            f"PyAV {av.__version__} here contains an FFmpeg with {' and '.join(built)}, which are under the "
            "GPL (version 2 or later). The metadata of PyAV does not say so. Whoever passes on a package, an "
            "image or an installer with these libraries must follow the GPL for the whole of it: give the "
            "source or an offer of it, and the licence. Using livematte, and passing on its own source, "
            "demand nothing. Without the GPL: build PyAV against an FFmpeg without these encoders."
        )
    for each in components():
        if each.copyleft and each.name != _ROOT:
            notes.append(
                f"{each.name} {each.version} is under {each.licence}. It is optional: whoever passes on "
                "livematte together with it must follow that licence for the whole."
            )
    return notes


def bill_of_materials() -> dict[str, Any]:
    """Return the installed packages as a bill of materials: CycloneDX 1.6, ready for JSON."""
    parts = components()
    urls = {_normalized(each.name): each.purl for each in parts}
    root = next(each for each in parts if _normalized(each.name) == _ROOT)
    identity = uuid.uuid5(uuid.NAMESPACE_URL, " ".join(sorted(urls.values())))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identity}",
        "version": 1,
        "metadata": {"component": {**_entry(root), "type": "application"}},
        "components": [_entry(each) for each in parts if each is not root],
        "dependencies": [
            {"ref": each.purl, "dependsOn": sorted({urls[_normalized(name)] for name in each.requires})}
            for each in parts
        ],
    }


def _entry(part: Component) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "licenses": [{"license": {"name": part.licence}}],
    }


def _needed(package: Distribution) -> Iterator[str]:
    """Names of the packages that ``package`` requires; of livematte also the ones of its extras."""
    for line in package.requires or ():
        name, extra = _NAME.match(line), _EXTRA.search(line)
        own = _normalized(package.metadata["Name"] or "") == _ROOT
        if name is not None and (extra is None or (own and extra[1] not in _TOOLS)):
            yield name[0]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
