"""A background for each scene of OBS, which follows the scene on air."""

from __future__ import annotations

import json
from collections.abc import Mapping

from livematte.errors import UsageError
from livematte.matting.backgrounds import parse_background


def parse_scene_backgrounds(given: str | Mapping[str, object] | None) -> dict[str, str]:
    """Return the background of each scene, as text. Each is opened once.

    Args:
        given: ``SCENE=BACKGROUND; SCENE=BACKGROUND``, the same as a JSON object, or a mapping. A value may be
            a mapping with the only key ``background``, as a table for each scene in a profile gives it.

    Raises:
        UsageError: another form, or a background that cannot be used.
    """
    if given is None:
        return {}
    if isinstance(given, str):
        given = _parse_text(given)
    backgrounds = {scene: _read_background(scene, value) for scene, value in given.items()}
    for scene, background in backgrounds.items():
        try:
            parse_background(background, fit="cover").close()
        except UsageError as error:
            raise UsageError(f"scene {scene!r}: {error}") from error
    return backgrounds


def _read_background(scene: str, value: object) -> str:
    if isinstance(value, Mapping) and value.keys() == {"background"}:
        value = value["background"]
    if not isinstance(value, str):
        raise UsageError(f"scene {scene!r}: {value!r} is invalid: use SCENE=BACKGROUND")
    return value


def _parse_text(text: str) -> dict[str, object]:
    error = UsageError(f"scenes {text!r} is invalid: use SCENE=BACKGROUND, several separated by ;")
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            raise error from None
        return dict(found)
    parts = [part.partition("=") for part in text.split(";") if part.strip()]
    if not parts or not all(scene.strip() and equals and value.strip() for scene, equals, value in parts):
        raise error
    return {scene.strip(): value.strip() for scene, _, value in parts}
