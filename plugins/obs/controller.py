"""Create, update and remove livematte's source in OBS. Other sources are never changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livematte.plugins.obs.client import NOT_READY, ObsClient, ObsError
from livematte.plugins.obs.placement import UNCHANGED, ScenePlacement
from livematte.plugins.obs.scene_items import (
    SceneItem,
    add_filters,
    apply_appearance,
    find_items,
    read_appearance,
    read_filters,
    remove_source,
    scene_names,
)
from livematte.plugins.obs.session_lock import holder

NAME = "livematte"
MARK = "livematte"
"""Key in the settings of livematte's source; the value is :data:`SESSION` or :data:`PERMANENT`. OBS saves
it."""
SESSION, PERMANENT = "session", "kept"
OWNER = "livematte_session"
"""Key in the settings; the value is the mark of the session that sends the pictures, or empty."""
MEDIA_KIND, LUA_KIND = "ffmpeg_source", "livematte_overlay"
BLENDS = ("linear", "srgb")
"""Light in which OBS blends the source: linear, or the values as they are."""
WAIT_SECONDS = 5.0
"""Longest wait for OBS to start or to remove a source, in seconds."""


def media_settings(url: str, blend: str = "linear") -> dict[str, Any]:
    """Return the settings of a Media Source that reads ``url``.

    Args:
        url: address of the stream.
        blend: one of :data:`BLENDS`. With the default blending method of OBS, soft edges are right only with
            ``linear``; with its blending method sRGB Off only with ``srgb``.
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
        "linear_alpha": blend == "linear",
    }


@dataclass(frozen=True)
class Item:
    """livematte's source in OBS: its input, :data:`MARK` and places."""

    name: str
    kind: str
    mark: str
    settings: Mapping[str, Any]
    places: tuple[SceneItem, ...] = ()

    @property
    def owner(self) -> str:
        """Mark of the session that used it last; empty if that ended as it should."""
        return str(self.settings.get(OWNER, ""))

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes and groups that hold it, each once."""
        return tuple(dict.fromkeys(place.scene for place in self.places))


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
        places = tuple(find_items(self._call, self.name))
        return Item(self.name, found["inputKind"], settings[MARK], settings, places)

    def ensure(
        self,
        kind: str,
        settings: Mapping[str, Any],
        *,
        scene: str | None = None,
        placement: ScenePlacement = UNCHANGED,
        permanent: bool = False,
        session: str = "",
    ) -> str:
        """Create the source, or change only the settings that differ: any change makes OBS reopen the stream.

        Args:
            kind: :data:`MEDIA_KIND` or :data:`LUA_KIND`.
            settings: settings of the input.
            scene: scene of the source. None: its present scenes, or the scene on air for a new source.
            placement: position and size.
            permanent: keep the source when livematte ends. A permanent source always stays permanent.
            session: mark of the session that sends the pictures. Empty: none; the kind and settings of a
                source that a session uses are then left as they are.

        Returns:
            ``created``, ``changed`` or ``unchanged``.

        Raises:
            ObsError: OBS refuses, the scene or kind does not exist, another source has the name, or another
                session uses the source.
        """
        if scene is not None and scene not in (scenes := scene_names(self._call)):
            raise ObsError(f"OBS has no scene {scene!r}: use one of {', '.join(map(repr, scenes))}")
        item = self.find()
        wanted = {**settings, OWNER: session}
        if item is not None and item.owner != session and (pid := holder(item.owner)) is not None:
            if session:
                raise ObsError(
                    f"the source {self.name!r} in OBS belongs to another live session (pid {pid}): end that "
                    "session, or give this one its own source with --sink-option obs.item=NAME"
                )
            kind, wanted = item.kind, {}
        wanted[MARK] = PERMANENT if permanent or (item and item.mark == PERMANENT) else SESSION
        if item is not None and not item.places:  # on its way out of OBS
            self.remove()
            item = None
        if item is None:
            self._create(kind, wanted, scene or self.current_scene(), placement)
            return "created"
        if item.kind != kind:
            self._replace(item, kind, wanted)
            self._place(scene, placement)
            return "created"
        changes = {key: value for key, value in wanted.items() if item.settings.get(key) != value}
        if changes:
            self._call("SetInputSettings", inputName=self.name, inputSettings=changes, overlay=True)
        return "changed" if self._place(scene, placement) or changes else "unchanged"

    def _place(self, scene: str | None, placement: ScenePlacement) -> bool:
        """Add the source to ``scene`` if it is missing there, and move it; return True after a change."""
        places = find_items(self._call, self.name)
        if scene is not None:
            places = [place for place in places if place.scene == scene]
            if not places:
                created = self._call("CreateSceneItem", sceneName=scene, sourceName=self.name)
                self._set_transform(scene, int(created["sceneItemId"]), placement, new=True)
                return True
        if placement == UNCHANGED:
            return False
        for place in places:
            self._set_transform(place.scene, place.number, placement, new=False)
        return True

    def _replace(self, item: Item, kind: str, settings: Mapping[str, Any]) -> None:
        """Put a source of another kind in every place of ``item``, with the same transforms and filters.

        Raises:
            ObsError: OBS has no such kind, or the source is in a group, where OBS accepts no new source; the
                old source is unchanged.
        """
        self._check_kind(kind)
        groups = [place.scene for place in item.places if place.in_group]
        if groups:
            raise ObsError(
                f"OBS accepts no new source in the group {groups[0]!r}: take {self.name!r} out of the group, "
                f"or use obs.route={'media' if item.kind == MEDIA_KIND else 'lua'}"
            )
        looks = [read_appearance(self._call, place) for place in item.places]
        filters = read_filters(self._call, self.name)
        self.remove()
        name = {"inputName": self.name, "inputKind": kind, "inputSettings": dict(settings)}
        for number, look in enumerate(sorted(looks, key=lambda look: look.index)):
            if number == 0:
                created = self._call("CreateInput", sceneName=look.item.scene, **name)
                add_filters(self._call, self.name, filters)
            else:
                created = self._call("CreateSceneItem", sceneName=look.item.scene, sourceName=self.name)
            apply_appearance(self._call, int(created["sceneItemId"]), look)

    def end_session(self, session: str) -> None:
        """Remove the source, or only the mark of ``session`` from a permanent one.

        A source that belongs to another session is not changed.
        """
        item = self.find()
        if item is None or item.owner != session:
            return
        if item.mark != PERMANENT:
            self.remove()
        else:
            self._call("SetInputSettings", inputName=self.name, inputSettings={OWNER: ""}, overlay=True)

    def remove(self) -> bool:
        """Remove the source from all scenes and groups and wait until its name is free.

        Returns:
            False if there was none.

        Raises:
            ObsError: the source of this name was not created by livematte.
        """
        if self.find() is None:
            return False
        remove_source(self._call, self.name)
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

    def _check_kind(self, kind: str) -> None:
        if kind not in self._call("GetInputKindList")["inputKinds"]:
            hint = ": add livematte.lua in Tools > Scripts of OBS" if kind == LUA_KIND else ""
            raise ObsError(f"this OBS has no source kind {kind!r}{hint}")

    def _create(self, kind: str, settings: Mapping[str, Any], scene: str, placement: ScenePlacement) -> None:
        self._check_kind(kind)
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
