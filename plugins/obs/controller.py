"""Create, update and remove livematte's source in OBS. Other sources are never changed."""

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
"""Key in the settings of livematte's source; the value is :data:`SESSION` or :data:`PERMANENT`. OBS saves
it."""
SESSION, PERMANENT = "session", "kept"
MEDIA_KIND, LUA_KIND = "ffmpeg_source", "livematte_overlay"
WAIT_SECONDS = 5.0
"""Longest wait for OBS to start or to remove a source, in seconds."""


def media_settings(url: str) -> dict[str, Any]:
    """Return the settings of a Media Source that reads ``url``.

    Without ``linear_alpha`` soft edges are too dark.
    """
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
class ScenePlacement:
    """Position and size of the source in a scene. None: unchanged, or the whole canvas for a new source."""

    position: tuple[float, float] | None = None
    """(x, y) of the upper left corner, in pixels of the canvas."""
    size: tuple[float, float] | None = None
    """(width, height) of the bounding box in pixels. The picture is scaled into it; the aspect ratio is
    kept."""


@dataclass(frozen=True)
class Item:
    """livematte's source in OBS: its input, :data:`MARK` and scenes."""

    name: str
    kind: str
    mark: str
    settings: Mapping[str, Any]
    scenes: tuple[str, ...] = ()


class ObsController:
    """Creates, updates and removes one input of OBS, identified by its name and by :data:`MARK`."""

    def __init__(self, client: ObsClient, name: str = NAME) -> None:
        self.client, self.name = client, name

    def _call(self, request: str, **data: Any) -> dict[str, Any]:
        """Send a request; repeat it for up to :data:`WAIT_SECONDS` while OBS is not ready."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return self.client.call(request, **data)
            except ObsError as error:
                if error.code != NOT_READY or time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def version(self) -> dict[str, Any]:
        """Return the answer of GetVersion: ``obsVersion``, ``obsWebSocketVersion``, ``platform`` and more."""
        return self._call("GetVersion")

    def find(self) -> Item | None:
        """Return livematte's input, or None.

        Raises:
            ObsError: an input of this name exists that livematte did not create.
        """
        inputs = {entry["inputName"]: entry for entry in self._call("GetInputList")["inputs"]}
        if self.name not in inputs:
            return None
        found = self._call("GetInputSettings", inputName=self.name)
        settings = found["inputSettings"]
        if MARK not in settings:
            raise ObsError(
                f"OBS has a source {self.name!r} that livematte did not create, and livematte does not "
                "change it: choose another name for livematte's source"
            )
        scenes = tuple(scene for scene in self._scenes() if self._scene_item_id(scene) is not None)
        return Item(self.name, found["inputKind"], settings[MARK], settings, scenes)

    def ensure(
        self,
        kind: str,
        settings: Mapping[str, Any],
        *,
        scene: str | None = None,
        placement: ScenePlacement = ScenePlacement(),
        permanent: bool = False,
    ) -> str:
        """Create the source, or change only the settings that differ: any change makes OBS reopen the stream.

        Args:
            kind: :data:`MEDIA_KIND` or :data:`LUA_KIND`.
            settings: settings of the input.
            scene: scene of the source. None: its present scenes, or the scene on air for a new source.
            placement: position and size.
            permanent: keep the source when livematte ends. A permanent source always stays permanent.

        Returns:
            ``created``, ``changed`` or ``unchanged``.

        Raises:
            ObsError: OBS refuses, the scene or kind does not exist, or another source has the name.
        """
        if scene is not None and scene not in self._scenes():
            known = ", ".join(repr(known) for known in self._scenes())
            raise ObsError(f"OBS has no scene {scene!r}: use one of {known}")
        item = self.find()
        mark = PERMANENT if permanent or (item is not None and item.mark == PERMANENT) else SESSION
        if item is not None and item.kind != kind:
            self.remove()
            item = None
        wanted = {**settings, MARK: mark}
        if item is None:
            self._create(kind, wanted, scene or self.current_scene(), placement)
            return "created"
        changes = {key: value for key, value in wanted.items() if item.settings.get(key) != value}
        if changes:
            self._call("SetInputSettings", inputName=self.name, inputSettings=changes, overlay=True)
        if scene is not None and scene not in item.scenes:
            number = self._call("CreateSceneItem", sceneName=scene, sourceName=self.name)["sceneItemId"]
            self._set_transform(scene, number, placement, new=True)
            return "changed"
        if placement != ScenePlacement():
            for name in [scene] if scene is not None else item.scenes:
                number = self._scene_item_id(name)
                if number is not None:
                    self._set_transform(name, number, placement, new=False)
            return "changed"
        return "changed" if changes else "unchanged"

    def remove(self) -> bool:
        """Remove the source from all scenes and wait until its name is free. Return False if there was none.

        Raises:
            ObsError: the source of this name was not created by livematte.
        """
        if self.find() is None:
            return False
        self._call("RemoveInput", inputName=self.name)
        end = time.monotonic() + WAIT_SECONDS
        while any(entry["inputName"] == self.name for entry in self._call("GetInputList")["inputs"]):
            if time.monotonic() > end:
                raise ObsError(
                    f"OBS did not remove {self.name!r} within {WAIT_SECONDS:g} s: remove it in OBS"
                )
            time.sleep(0.05)
        return True

    def showing(self) -> bool:
        """Return True if OBS shows the source anywhere: in the program, the preview or a multiview."""
        return bool(self._call("GetSourceActive", sourceName=self.name)["videoShowing"])

    def current_scene(self) -> str:
        """Return the name of the scene on air."""
        answer = self._call("GetCurrentProgramScene")
        return str(answer.get("sceneName") or answer["currentProgramSceneName"])

    def _scenes(self) -> list[str]:
        return [entry["sceneName"] for entry in self._call("GetSceneList")["scenes"]]

    def _scene_item_id(self, scene: str) -> int | None:
        for entry in self._call("GetSceneItemList", sceneName=scene)["sceneItems"]:
            if entry["sourceName"] == self.name:
                return int(entry["sceneItemId"])
        return None

    def _create(self, kind: str, settings: Mapping[str, Any], scene: str, placement: ScenePlacement) -> None:
        if kind not in self._call("GetInputKindList")["inputKinds"]:
            hint = ": add livematte.lua in Tools > Scripts of OBS" if kind == LUA_KIND else ""
            raise ObsError(f"this OBS has no source kind {kind!r}{hint}")
        created = self._call(
            "CreateInput", sceneName=scene, inputName=self.name, inputKind=kind, inputSettings=dict(settings)
        )
        try:
            self._set_transform(scene, int(created["sceneItemId"]), placement, new=True)
        except ObsError:
            self.remove()
            raise

    def _set_transform(self, scene: str, item: int, placement: ScenePlacement, *, new: bool) -> None:
        position, size = placement.position, placement.size
        if new:
            video = self._call("GetVideoSettings")
            position = position or (0.0, 0.0)
            size = size or (float(video["baseWidth"]), float(video["baseHeight"]))
        transform: dict[str, Any] = {}
        if position is not None:
            transform.update(positionX=position[0], positionY=position[1], alignment=5)  # 5: upper left
        if size is not None:
            transform.update(boundsType="OBS_BOUNDS_SCALE_INNER", boundsWidth=size[0], boundsHeight=size[1])
            transform.update(boundsAlignment=0)  # 0: centred in the box
        self._call("SetSceneItemTransform", sceneName=scene, sceneItemId=item, sceneItemTransform=transform)


def _parse_pair(text: str, separator: str, valid: Callable[[float], bool], error: str) -> tuple[float, float]:
    found = re.fullmatch(rf"\s*(-?\d+(?:\.\d+)?)\s*{separator}\s*(-?\d+(?:\.\d+)?)\s*", text, re.IGNORECASE)
    if found is None or not all(valid(float(part)) for part in found.groups()):
        raise UsageError(error)
    return float(found[1]), float(found[2])


def parse_placement(position: str | None, size: str | None) -> ScenePlacement:
    """Parse a position ``x,y`` and a size ``WIDTHxHEIGHT``, both in pixels of the canvas of OBS.

    Raises:
        UsageError: a text of another form.
    """
    corner = box = None
    if position is not None:
        corner = _parse_pair(
            position,
            ",",
            lambda _: True,
            f"position {position!r} is invalid: use x,y in pixels, such as 960,540",
        )
    if size is not None:
        box = _parse_pair(
            size,
            "x",
            lambda n: n >= 1,
            f"size {size!r} is invalid: use WIDTHxHEIGHT in pixels, such as 640x360",
        )
    return ScenePlacement(corner, box)
