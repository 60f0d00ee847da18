"""A training run: the recipe that determines it, apart from the machine; the state to resume from, and the log."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors.torch import save
from torch import Tensor

from spicekit.config import Config, parse
from spicekit.errors import BadInput
from spicekit.files import write_atomically
from spicekit.networks.checkpoints import fill, read_tensors, require_sealed, sealed
from spicekit.networks.models import Network, NetworkName
from spicekit.provenance import JsonDict


class Recipe(Config):
    """A training run: network, data, and how the one learns the other."""

    network: NetworkName
    data: str
    """Name or path, see `load_dataset`."""
    width: float = Field(default=1.0, gt=0, le=4)
    bits: Literal[1, 4] = 1
    begin: str | None = None
    """Checkpoint whose weights, or another run's `state.safetensors` whose latent weights, the run begins with; by
    default they are random."""
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak rate of Adam; linear warm-up, then a cosine down to zero."""
    warmup_epochs: float = Field(default=2.0, ge=0)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    shift: int = Field(ge=0, le=8)
    """Images are shifted by up to so many pixels both ways, black coming in: crops of a padded image."""
    flip: bool
    """Mirror half of the images; wrong for digits."""
    growing_epochs: int = Field(default=0, ge=0)
    """Epochs at first whose images are scaled down: half of these to 16 x 16, the other half to 24 x 24."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of products while training (autocast); weights, norms' statistics and evaluation stay float32."""
    seed: int = Field(default=0, ge=0)
    tiles: dict[str, Any] | None = None
    """Design, and BinSparX's flips, on whose tiles the network learns; None in software."""


def recipe_for(network: str, data: str, *, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe that holds up on a data set, with some fields changed; `BadInput` if they do not fit.

    >>> recipe_for("vgg-small", "digits", changes={"epochs": 5}).epochs
    5
    """
    usual = (
        {"epochs": 30, "batch": 64, "shift": 2, "flip": False}
        if data == "digits"
        else {"epochs": 120, "batch": 128, "shift": 4, "flip": True}
    )
    return parse(Recipe, {"network": network, "data": data, **usual, **(changes or {})}, source="train")


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """Rate at a moment of a run, in epochs and fractions: linear up to the peak, then a cosine down to zero.

    >>> recipe = recipe_for("vgg-small", "digits", changes={"epochs": 10})
    >>> [f"{learning_rate(recipe, epoch) / recipe.learning_rate:.2f}" for epoch in (0, 1, 2, 6, 10)]
    ['0.00', '0.50', '1.00', '0.50', '0.00']
    """
    if epoch < recipe.warmup_epochs:
        return recipe.learning_rate * epoch / recipe.warmup_epochs
    way = (epoch - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1e-9)
    return recipe.learning_rate * (1 + math.cos(math.pi * way)) / 2


def image_side(recipe: Recipe, epoch: int) -> int:
    """Side of the training images in an epoch (from 0), in pixels: a quarter of the pixels is a quarter of the work.

    Progressive resizing, after Howard et al. in Coleman et al., "DAWNBench", NeurIPS workshop 2017.

    >>> recipe = recipe_for("vgg-small", "cifar10", changes={"epochs": 6, "growing_epochs": 4})
    >>> [image_side(recipe, epoch) for epoch in range(6)]
    [16, 16, 24, 24, 32, 32]
    """
    if epoch >= recipe.growing_epochs:
        return 32
    return 16 if 2 * epoch < recipe.growing_epochs else 24


@dataclass
class State:
    """How far a run has come, and its sums over the epoch under way."""

    step: int = 0
    loss_sum: float = 0.0
    right: int = 0
    seconds: float = 0.0
    history: list[JsonDict] = field(default_factory=list)
    """A line for each epoch, as in `log.csv`."""


def save_state(path: Path, network: Network, optimizer: torch.optim.Optimizer, recipe: Recipe, state: State) -> None:
    """Write all that `load_state` needs, whole or not at all."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{slot}": value for slot, value in slots.items()}
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    header = {"recipe": recipe.model_dump_json(), "state": json.dumps(asdict(state))}
    write_atomically(path, save(tensors, sealed(tensors, header)))


def load_state(path: Path, network: Network, optimizer: torch.optim.Optimizer, recipe: Recipe) -> State:
    """Fill network and optimizer; `BadInput` if the file is damaged or of another recipe."""
    before, state, tensors = read_state(path)
    then, now = before.model_dump(), recipe.model_dump()
    if changed := [f"{key} = {then[key]!r}, now {now[key]!r}" for key in now if then[key] != now[key]]:
        raise BadInput(
            f"{path}: was begun with another recipe ({'; '.join(changed)}); "
            f"repeat the first command, or name another folder."
        )
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    fill(network, network_tensors(tensors), source=str(path))
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def is_state(path: Path) -> bool:
    """Whether a safetensors file is a run's state, by its header; `BadInput` if it is damaged or something else."""
    _, header = read_tensors(path)
    return "state" in header


def read_state(path: Path) -> tuple[Recipe, State, dict[str, Tensor]]:
    """Recipe, standing and tensors of a run's state; `BadInput` if the file is damaged or something else."""
    tensors, header = read_tensors(path)
    try:
        require_sealed(tensors, header)
        recipe = parse(Recipe, json.loads(header["recipe"]), source=str(path))
        return recipe, State(**json.loads(header["state"])), tensors
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"{path}: is no readable state of a run ({error}); remove it to start again.") from error


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of a state's tensors that are the network's, latent weights among them."""
    return {name[len("network.") :]: value for name, value in tensors.items() if name.startswith("network.")}


def write_log(history: list[JsonDict], out: Path) -> None:
    """`log.csv`, a line for each epoch, and `log.png`, its curves."""
    from matplotlib.figure import Figure

    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    write_atomically(out / "log.csv", text.getvalue())

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    loss_axes.plot(epochs, [line["loss"] for line in history], color="black")
    loss_axes.set(xlabel="epoch", ylabel="loss (augmented training images)")
    for key, label in (("accuracy", "training, augmented"), ("test_accuracy", "held out")):
        accuracy_axes.plot(epochs, [100 * line[key] for line in history], label=label)
    accuracy_axes.set(xlabel="epoch", ylabel="accuracy / %")
    accuracy_axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_atomically(out / "log.png", picture.getvalue())
