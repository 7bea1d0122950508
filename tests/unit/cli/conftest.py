"""Fixtures for tests of live commands: a clip to play, and sinks that collect frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livematte import registry
from livematte.protocols import LiveFormat, LiveSink
from tests.clips import make_clip
from tests.livepeers import CollectingSink, FindsThePerson

Sinks = list[tuple[LiveFormat, dict[str, Any], CollectingSink]]


@pytest.fixture
def sinks(monkeypatch: pytest.MonkeyPatch) -> Sinks:
    """Outputs opened by the name ``collecting``; the model is one that needs no weights."""
    opened: Sinks = []

    def collecting(format: LiveFormat, **own: Any) -> LiveSink:
        opened.append((format, own, CollectingSink()))
        return opened[-1][2]

    def load(group: str, name: str) -> Any:
        if (group, name) == ("sinks", "collecting"):
            return collecting
        return (lambda **_: FindsThePerson()) if group == "models" else before(group, name)

    before = registry.load
    monkeypatch.setattr(registry, "load", load)
    return opened


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("live") / "clip.mp4", frames=30, size=(96, 160))
