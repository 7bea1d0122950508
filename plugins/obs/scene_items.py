"""Places of a source in OBS: its items in scenes and groups, and the appearance of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livematte.plugins.obs.client import NOT_FOUND, ObsError

Call = Callable[..., dict[str, Any]]
"""Sends a request to OBS and returns its answer."""

_TRANSFORM = (
    "positionX", "positionY", "rotation", "scaleX", "scaleY", "alignment", "boundsType", "boundsAlignment",
    "boundsWidth", "boundsHeight", "cropLeft", "cropRight", "cropTop", "cropBottom",
)  # fmt: skip
"""Values of a transform that OBS both returns and accepts; the others are read-only."""


@dataclass(frozen=True)
class SceneItem:
    """One item of a source.

    Attributes:
        scene: name of the scene or group that holds it.
        in_group: True if ``scene`` is a group.
    """

    scene: str
    number: int
    in_group: bool = False


@dataclass(frozen=True)
class Appearance:
    """Appearance of an item in its scene, enough to make another one like it."""

    item: SceneItem
    index: int
    enabled: bool
    locked: bool
    blend_mode: str
    transform: dict[str, Any]


def scene_names(call: Call) -> list[str]:
    """Return the names of all scenes."""
    return [entry["sceneName"] for entry in call("GetSceneList")["scenes"]]


def find_items(call: Call, source: str) -> list[SceneItem]:
    """Return every item of ``source``, in all scenes and groups: one scene may hold several."""
    found = []
    for scene in scene_names(call):
        for entry in call("GetSceneItemList", sceneName=scene)["sceneItems"]:
            if entry["sourceName"] == source:
                found.append(SceneItem(scene, int(entry["sceneItemId"])))
    for group in call("GetGroupList")["groups"]:
        for entry in call("GetGroupSceneItemList", sceneName=group)["sceneItems"]:
            if entry["sourceName"] == source:
                found.append(SceneItem(group, int(entry["sceneItemId"]), in_group=True))
    return found


def remove_source(call: Call, source: str) -> None:
    """Ask OBS to remove a source and all of its items.

    The items go first: OBS takes the items of a removed source out of a scene only when it draws that scene,
    and keeps the source until then.
    """
    for item in find_items(call, source):
        _unless_gone(call, "RemoveSceneItem", sceneName=item.scene, sceneItemId=item.number)
    _unless_gone(call, "RemoveInput", inputName=source)  # OBS removes a source with its last item


def _unless_gone(call: Call, request: str, **data: Any) -> None:
    try:
        call(request, **data)
    except ObsError as error:
        if error.code != NOT_FOUND:
            raise


def read_appearance(call: Call, item: SceneItem) -> Appearance:
    """Return how an item looks."""
    here = {"sceneName": item.scene, "sceneItemId": item.number}
    transform = call("GetSceneItemTransform", **here)["sceneItemTransform"]
    kept = {key: transform[key] for key in _TRANSFORM if key in transform}
    if min(kept.get("boundsWidth", 1), kept.get("boundsHeight", 1)) < 1:  # no box; OBS refuses these sizes
        kept = {key: value for key, value in kept.items() if key not in ("boundsWidth", "boundsHeight")}
    return Appearance(
        item,
        int(call("GetSceneItemIndex", **here)["sceneItemIndex"]),
        bool(call("GetSceneItemEnabled", **here)["sceneItemEnabled"]),
        bool(call("GetSceneItemLocked", **here)["sceneItemLocked"]),
        str(call("GetSceneItemBlendMode", **here)["sceneItemBlendMode"]),
        kept,
    )


def apply_appearance(call: Call, number: int, appearance: Appearance) -> None:
    """Make item ``number`` look like another one in the same scene."""
    here = {"sceneName": appearance.item.scene, "sceneItemId": number}
    call("SetSceneItemTransform", **here, sceneItemTransform=appearance.transform)
    call("SetSceneItemBlendMode", **here, sceneItemBlendMode=appearance.blend_mode)
    call("SetSceneItemEnabled", **here, sceneItemEnabled=appearance.enabled)
    call("SetSceneItemIndex", **here, sceneItemIndex=appearance.index)
    call("SetSceneItemLocked", **here, sceneItemLocked=appearance.locked)


def read_filters(call: Call, source: str) -> list[dict[str, Any]]:
    """Return the filters of a source, in their order."""
    return list(call("GetSourceFilterList", sourceName=source)["filters"])


def add_filters(call: Call, source: str, filters: list[dict[str, Any]]) -> None:
    """Add filters, as :func:`read_filters` returned them, to a source."""
    for each in filters:
        named = {"sourceName": source, "filterName": each["filterName"]}
        kind = {"filterKind": each["filterKind"], "filterSettings": each["filterSettings"]}
        call("CreateSourceFilter", **named, **kind)
        call("SetSourceFilterEnabled", **named, filterEnabled=each["filterEnabled"])
