"""livematte's item in OBS: made, kept in shape, removed; nothing else is touched."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from livematte.errors import UsageError
from livematte.plugins.obs.client import NOT_READY, ObsClient, ObsError

NAME = "livematte"
MARK = "livematte"
"""Key in the settings of what is ours: :data:`SESSION` or :data:`KEPT`. OBS saves it with the scene."""
SESSION, KEPT = "session", "kept"
MEDIA_KIND, LUA_KIND = "ffmpeg_source", "livematte_overlay"
PATIENCE = 5.0
"""Seconds to wait for what OBS does in its own time: starting, removing."""


def media_settings(url: str) -> dict[str, Any]:
    """Of the Media Source that reads ``url``. Without ``linear_alpha`` soft edges come out too dark."""
    return {
        "is_local_file": False,
        "input": url,
        "input_format": "nut",
        "buffering_mb": 0,
        "reconnect_delay_sec": 1,
        "hw_decode": False,
        "clear_on_media_end": True,
        "close_when_inactive": False,
        "restart_on_activate": False,
        "linear_alpha": True,
    }


@dataclass(frozen=True)
class Place:
    """Where the item is: None for what OBS shall keep, or, when it is new, for the whole canvas."""

    position: tuple[float, float] | None = None
    """x, y of the upper left corner, in pixels of the canvas."""
    size: tuple[float, float] | None = None
    """Width, height of the box that the picture is fitted into, its shape kept."""


@dataclass(frozen=True)
class Item:
    """What livematte has in OBS."""

    name: str
    kind: str
    mark: str
    settings: Mapping[str, Any]
    scenes: tuple[str, ...] = ()


class ObsController:
    """Makes, updates and removes one input of OBS, known by its name and by :data:`MARK`."""

    def __init__(self, client: ObsClient, name: str = NAME) -> None:
        self.client, self.name = client, name

    def _call(self, request: str, **data: Any) -> dict[str, Any]:
        """A request; one that OBS is not ready for is repeated for a while."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.client.call(request, **data)
            except ObsError as error:
                if error.code != NOT_READY or time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def version(self) -> dict[str, Any]:
        """OBS's own words: ``obsVersion``, ``obsWebSocketVersion``, ``platform`` ..."""
        return self._call("GetVersion")

    def find(self) -> Item | None:
        """The input, or None.

        Raises:
            ObsError: an input has our name that livematte did not make.
        """
        inputs = {entry["inputName"]: entry for entry in self._call("GetInputList")["inputs"]}
        if self.name not in inputs:
            return None
        found = self._call("GetInputSettings", inputName=self.name)
        settings = found["inputSettings"]
        if MARK not in settings:
            raise ObsError(
                f"OBS has a source {self.name!r} that livematte did not make: it stays as it is; choose "
                "another name for livematte's"
            )
        scenes = tuple(scene for scene in self._scenes() if self._item_in(scene) is not None)
        return Item(self.name, found["inputKind"], settings[MARK], settings, scenes)

    def ensure(
        self,
        kind: str,
        settings: Mapping[str, Any],
        *,
        scene: str | None = None,
        place: Place = Place(),
        keep: bool = False,
    ) -> str:
        """Make the item, or change only what differs: writing a source's settings opens its stream anew.

        Args:
            kind: :data:`MEDIA_KIND` or :data:`LUA_KIND`.
            settings: of the input.
            scene: where; where it already is, else the scene that is on air.
            place: position and size.
            keep: it shall stay when livematte ends. One that stays is never turned into one that does not.

        Returns:
            ``made``, ``changed`` or ``unchanged``.

        Raises:
            ObsError: OBS refuses, the scene or the kind is not there, or the name is somebody else's.
        """
        if scene is not None and scene not in self._scenes():
            known = ", ".join(repr(known) for known in self._scenes())
            raise ObsError(f"OBS has no scene {scene!r}: it has {known}")
        item = self.find()
        mark = KEPT if keep or (item is not None and item.mark == KEPT) else SESSION
        if item is not None and item.kind != kind:
            self.remove()
            item = None
        wanted = {**settings, MARK: mark}
        if item is None:
            self._make(kind, wanted, scene or self.current_scene(), place)
            return "made"
        changes = {key: value for key, value in wanted.items() if item.settings.get(key) != value}
        if changes:
            self._call("SetInputSettings", inputName=self.name, inputSettings=changes, overlay=True)
        if scene is not None and scene not in item.scenes:
            made = self._call("CreateSceneItem", sceneName=scene, sourceName=self.name)["sceneItemId"]
            self._put(scene, made, place, new=True)
            return "changed"
        if place != Place():
            for where in [scene] if scene is not None else item.scenes:
                number = self._item_in(where)
                if number is not None:
                    self._put(where, number, place, new=False)
            return "changed"
        return "changed" if changes else "unchanged"

    def remove(self) -> bool:
        """Take it out of all scenes, and wait until its name is free; False where there was none.

        Raises:
            ObsError: somebody else's has the name.
        """
        if self.find() is None:
            return False
        self._call("RemoveInput", inputName=self.name)
        end = time.monotonic() + PATIENCE
        while any(entry["inputName"] == self.name for entry in self._call("GetInputList")["inputs"]):
            if time.monotonic() > end:
                raise ObsError(f"OBS has not removed {self.name!r} within {PATIENCE:g} s")
            time.sleep(0.05)
        return True

    def showing(self) -> bool:
        """Whether the item can be seen anywhere: on air, in the preview, in a multiview."""
        return bool(self._call("GetSourceActive", sourceName=self.name)["videoShowing"])

    def current_scene(self) -> str:
        """The scene that is on air."""
        answer = self._call("GetCurrentProgramScene")
        return str(answer.get("sceneName") or answer["currentProgramSceneName"])

    def _scenes(self) -> list[str]:
        return [entry["sceneName"] for entry in self._call("GetSceneList")["scenes"]]

    def _item_in(self, scene: str) -> int | None:
        for entry in self._call("GetSceneItemList", sceneName=scene)["sceneItems"]:
            if entry["sourceName"] == self.name:
                return int(entry["sceneItemId"])
        return None

    def _make(self, kind: str, settings: Mapping[str, Any], scene: str, place: Place) -> None:
        if kind not in self._call("GetInputKindList")["inputKinds"]:
            hint = ": add livematte.lua in Tools > Scripts" if kind == LUA_KIND else ""
            raise ObsError(f"this OBS has no source kind {kind!r}{hint}")
        made = self._call(
            "CreateInput", sceneName=scene, inputName=self.name, inputKind=kind, inputSettings=dict(settings)
        )
        try:
            self._put(scene, int(made["sceneItemId"]), place, new=True)
        except ObsError:
            self.remove()
            raise

    def _put(self, scene: str, item: int, place: Place, *, new: bool) -> None:
        position, size = place.position, place.size
        if new:
            video = self._call("GetVideoSettings")
            position = position or (0.0, 0.0)
            size = size or (float(video["baseWidth"]), float(video["baseHeight"]))
        transform: dict[str, Any] = {}
        if position is not None:
            transform.update(positionX=position[0], positionY=position[1], alignment=5)  # from the upper left
        if size is not None:
            transform.update(boundsType="OBS_BOUNDS_SCALE_INNER", boundsWidth=size[0], boundsHeight=size[1])
            transform.update(boundsAlignment=0)  # in the middle of its box
        self._call("SetSceneItemTransform", sceneName=scene, sceneItemId=item, sceneItemTransform=transform)


def _pair(text: str, separator: str, good: Callable[[float], bool], error: str) -> tuple[float, float]:
    found = re.fullmatch(rf"\s*(-?\d+(?:\.\d+)?)\s*{separator}\s*(-?\d+(?:\.\d+)?)\s*", text, re.IGNORECASE)
    if found is None or not all(good(float(part)) for part in found.groups()):
        raise UsageError(error)
    return float(found[1]), float(found[2])


def parse_place(position: str | None, size: str | None) -> Place:
    """From words: position ``x,y`` and size ``WIDTHxHEIGHT`` in pixels of OBS's canvas.

    Raises:
        UsageError: anything else.
    """
    at = box = None
    if position is not None:
        at = _pair(
            position, ",", lambda _: True, f"position {position!r}: allowed is x,y in pixels, as in 960,540"
        )
    if size is not None:
        box = _pair(
            size, "x", lambda n: n >= 1, f"size {size!r}: allowed is WIDTHxHEIGHT in pixels, as in 640x360"
        )
    return Place(at, box)
