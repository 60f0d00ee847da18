"""Training binary networks: seeded, and resumable after a kill at any moment.

The order of the images and their augmentation are functions of (seed, epoch) and (seed, epoch, batch), so a
run's whole state is its step, its tensors and its log. A resumed run ends with the weights of one that was
not interrupted.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spicekit.errors import BadInput, MissingTool
from spicekit.files import take_folder
from spicekit.networks.checkpoints import fill, read_checkpoint, save_checkpoint
from spicekit.networks.cifar import Images
from spicekit.networks.data import Dataset, network_inputs
from spicekit.networks.inference import accuracy, count_right, predict_logits
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import Architecture, Card, Network, build, norms_anew
from spicekit.networks.runs import (
    Recipe,
    State,
    image_side,
    is_state,
    learning_rate,
    load_state,
    network_tensors,
    read_state,
    save_state,
    write_log,
)
from spicekit.provenance import provenance

CHECKPOINT = "network.safetensors"
STATE = "state.safetensors"
_GLANCE = 2000  # held-out images looked at after each epoch; the final accuracy is over all of them
# Latent weights that a checkpoint's signs begin with: a checkpoint does not hold how sure each was. Assumed: a tenth of
# the range, which the usual learning rate crosses in some 50 steps.
_INERTIA = 0.1
_SAMPLE = 10_000  # training images that means over the data are taken from


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    step: int
    steps: int
    epoch: int
    loss: float
    """Mean over the epoch so far."""
    accuracy: float
    """On augmented training images, over the epoch so far."""
    test_accuracy: float | None
    """After the last whole epoch, on held-out images."""


def train(
    recipe: Recipe,
    out: Path,
    *,
    train_set: Dataset,
    test_set: Dataset,
    resume: bool = False,
    device: str = "cpu",
    save_every: float = 60.0,
    place: Callable[[Network], Network] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Card:
    """Train a network and leave its checkpoint, card, log and curve in a folder.

    Parameters
    ----------
    recipe : Recipe
    out : path
        Run folder: `network.safetensors` and `network.md` at the end, `log.csv` and `log.png` after every
        epoch, `state.safetensors` to resume from.
    resume : bool
        Go on from the folder's state, or start if there is none yet. Else a folder with a state is refused.
    device : "cpu", "cuda" or "auto"
    save_every : float, s
        Between two saves of the state within an epoch.
    place : function, optional
        Makes of the network that the run begins with a copy whose layers learn elsewhere, on tiles: its products go
        forward there, and the gradient straight through. What log and card say of held-out images is on tiles then.
    report : function
        Called after each step.

    Returns
    -------
    card of the finished network

    Raises
    ------
    BadInput
        If the folder holds another run's state, or the state is damaged.
    MissingTool
        If a GPU is asked for and there is none.
    """
    if len(train_set) < recipe.batch:
        raise BadInput(f"train: {len(train_set)} images do not fill a batch of {recipe.batch}.")
    processor = _processor(device)
    images = train_set.images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise BadInput(
            f"train: {train_set.name} has {images.dtype} shaped {images.shape}; the networks that can be trained here "
            f"take uint8 images, grey or RGB."
        )
    begun = take_run(out, resume=resume)
    kind = Architecture(
        name=recipe.network,
        classes=len(train_set.classes),
        channels=1 if images.shape[3] == 1 else 3,
        width=recipe.width,
        bits=recipe.bits,
    )
    network = build(kind, seed=recipe.seed)
    if not begun or place is not None:  # fitted converters are those of the beginning
        network.normalise.fit(network_inputs(train_set.first(min(len(train_set), _SAMPLE))))
        if recipe.begin is not None:
            _fill(network, Path(recipe.begin))
    if place is not None:
        network = place(network)
    for name in (STATE, CHECKPOINT, "network.md", "log.csv", "log.png"):
        for leftover in out.glob(f".{name}.*.part"):  # of a run that was killed while writing
            leftover.unlink()
    network = network.to(processor, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters())
    state = load_state(out / STATE, network, optimizer, recipe) if begun else State()

    per_epoch = len(train_set) // recipe.batch
    glance = test_set.first(min(len(test_set), _GLANCE))
    saved = time.monotonic()
    for pixels, labels in _batches(train_set, recipe, start=state.step):
        began = time.monotonic()
        rate = learning_rate(recipe, state.step / per_epoch)
        loss, right = _step(network, optimizer, pixels.to(processor), labels.to(processor), recipe, rate)
        state.step += 1
        state.loss_sum += loss
        state.right += right
        state.seconds += time.monotonic() - began
        done = (state.step - 1) % per_epoch + 1
        progress = Progress(
            step=state.step,
            steps=recipe.epochs * per_epoch,
            epoch=(state.step - 1) // per_epoch + 1,
            loss=state.loss_sum / done,
            accuracy=state.right / (done * recipe.batch),
            test_accuracy=state.history[-1]["test_accuracy"] if state.history else None,
        )
        report(progress)
        if done == per_epoch:
            state.history.append(
                {
                    "epoch": progress.epoch,
                    "step": state.step,
                    "learning_rate": rate,
                    "loss": progress.loss,
                    "accuracy": progress.accuracy,
                    "test_accuracy": accuracy(predict_logits(network, glance), glance),
                    "seconds": round(state.seconds, 1),
                }
            )
            state.loss_sum, state.right, state.seconds = 0.0, 0, 0.0
            write_log(state.history, out)
        if done == per_epoch or time.monotonic() - saved > save_every:
            save_state(out / STATE, network, optimizer, recipe, state)
            saved = time.monotonic()

    _settle_norms(network, train_set, recipe)
    card = _card(network, recipe, train_set, test_set)
    save_checkpoint(network, out / CHECKPOINT, card=card)
    return card


def take_run(out: Path, *, resume: bool) -> bool:
    """Take a folder for a run, before anything costly; whether it holds the state of one.

    `BadInput` if it holds something else or cannot be written, or if the run that it holds is not to be resumed.
    """
    begun = (out / STATE).exists()
    if begun and not resume:
        raise BadInput(f"{out}: holds a run; pass --resume to go on with it, or name another folder.")
    take_folder(out)
    return begun


def _fill(network: Network, begin: Path) -> None:
    """Give a network the weights of a checkpoint, or the latent weights of a run's state."""
    if begin.is_file() and is_state(begin):
        recipe, _, tensors = read_state(begin)
        before = network.architecture.model_copy(
            update={"name": recipe.network, "width": recipe.width, "bits": recipe.bits}
        )
        weights, inertia = network_tensors(tensors), 1.0
    else:
        trained = read_checkpoint(begin)
        before, weights = trained.architecture, trained.state_dict()
        inertia = _INERTIA if before.bits == 1 else 1.0
    if before != network.architecture:
        raise BadInput(f"{begin}: is {before!r}; this run trains {network.architecture!r}.")
    fill(network, weights, source=str(begin))
    for layer in binary_layers(network).values():
        layer.weight.data *= inertia


def _card(network: Network, recipe: Recipe, train_set: Dataset, test_set: Dataset) -> Card:
    return Card(
        architecture=network.architecture,
        data=recipe.data,
        source=train_set.source,
        classes=train_set.classes,
        train_images=len(train_set),
        train_sha256=train_set.sha256,
        test_images=len(test_set),
        test_sha256=test_set.sha256,
        accuracy=accuracy(predict_logits(network, test_set), test_set),
        recipe=recipe.model_dump(mode="json"),
        made_by=provenance({"torch": torch.__version__, "device": next(network.parameters()).device.type}),
    )


def fastest_options() -> str:
    """Options of `spicekit train` with which a network trains fastest on this machine, and why.

    On a processor with AMX an epoch of VGG-small takes 7.7 minutes in bfloat16 on one thread and 19 in single
    precision on two (docs/networks.md). That bfloat16 is faster with other instructions for it is assumed: they
    multiply two pairs of numbers where those of single precision multiply one.
    """
    if torch.cuda.is_available():
        return "--device cuda --precision bfloat16: there is a GPU"
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if found.get("amx_bf16"):
        return "--precision bfloat16 --threads 1: the processor has AMX, which threads of one core share"
    if found.get("avx512_bf16"):
        return "--precision bfloat16: the processor has instructions for it"
    return "--precision float32: the processor has no instructions for bfloat16"


def augment(images: Images, recipe: Recipe, rng: np.random.Generator) -> Images:
    """Shifted and mirrored copies of images (n, h, w, c); black comes in at the edges."""
    count, height, width, _ = images.shape
    down, across = rng.integers(0, 2 * recipe.shift + 1, size=(2, count, 1))
    mirrored = rng.random((count, 1, 1, 1)) < 0.5
    if recipe.flip:
        images = np.where(mirrored, images[:, :, ::-1], images)
    padded = np.pad(images, ((0, 0), (recipe.shift,) * 2, (recipe.shift,) * 2, (0, 0)))
    image = np.arange(count)[:, None, None]
    rows, columns = (down + np.arange(height))[:, :, None], (across + np.arange(width))[:, None, :]
    shifted: Images = padded[image, rows, columns]
    return shifted


def _batches(train_set: Dataset, recipe: Recipe, *, start: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches from step `start` to the end of the run; each depends on seed, epoch and index alone."""
    per_epoch = len(train_set) // recipe.batch
    for epoch in range(start // per_epoch, recipe.epochs):
        order = np.random.default_rng([recipe.seed, 0, epoch]).permutation(len(train_set))
        for index in range(start % per_epoch if epoch == start // per_epoch else 0, per_epoch):
            chosen = order[index * recipe.batch : (index + 1) * recipe.batch]
            rng = np.random.default_rng([recipe.seed, 1, epoch, index])
            pixels = network_inputs(augment(train_set.images[chosen], recipe, rng))
            if (side := image_side(recipe, epoch)) != pixels.shape[-1]:
                pixels = functional.interpolate(pixels, size=(side, side), mode="area")
            yield pixels, torch.from_numpy(train_set.labels[chosen].astype(np.int64))


def _step(
    network: Network,
    optimizer: torch.optim.Optimizer,
    pixels: Tensor,
    labels: Tensor,
    recipe: Recipe,
    rate: float,
) -> tuple[float, int]:
    """One step of Adam; loss and number of images classified rightly."""
    network.train()
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        logits = network(pixels).float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    for layer in binary_layers(network).values():
        layer.clip_latent()
    return loss.item(), count_right(logits, labels)


@torch.no_grad()
def _settle_norms(network: Network, train_set: Dataset, recipe: Recipe) -> None:
    """Take the norms' statistics, gathered while the weights moved, anew with the final ones.

    On images augmented as in training: on plain ones a network for CIFAR-10 lost 1.5 points of accuracy.
    """
    processor = next(network.parameters()).device
    last_epoch = _batches(train_set, recipe, start=(recipe.epochs - 1) * (len(train_set) // recipe.batch))
    with norms_anew(network.train()):
        for pixels, _ in itertools.islice(last_epoch, _SAMPLE // recipe.batch):
            network(pixels.to(processor))
    network.eval()


def _processor(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise BadInput(f"train(device={device!r}): choose cpu, cuda or auto.")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingTool("train(device='cuda'): torch finds no CUDA GPU here; use cpu or auto.")
    return torch.device(device)
