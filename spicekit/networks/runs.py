"""What a training run leaves in its folder: the state to resume from, and the log."""

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from spicekit.config import parse
from spicekit.errors import BadInput
from spicekit.files import write_atomically
from spicekit.networks.checkpoints import fill, read_tensors, require_sealed, sealed
from spicekit.networks.models import Network
from spicekit.networks.recipe import Recipe
from spicekit.provenance import JsonDict


@dataclass
class State:
    """How far a run has come, and its sums over the epoch under way."""

    step: int = 0
    loss_sum: float = 0.0
    right: int = 0
    seconds: float = 0.0
    history: list[JsonDict] = field(default_factory=list)
    """A line for each epoch, as in `log.csv`."""


def save_state(
    path: Path, network: Network, optimizer: torch.optim.Optimizer, recipe: Recipe, state: State
) -> None:
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
        raise BadInput(
            f"{path}: is no readable state of a run ({error}); remove it to start again."
        ) from error


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
