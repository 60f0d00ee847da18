"""Train the CIFAR-10 networks that ship, all on one GPU, within a stated time.

    python scripts/train_gpu.py --folder CIFAR10 --out runs/gpu --seconds 500

First a float ResNet-18 learns the images, and its logits are kept for every training image, mirrored or not, at
every second shift. Then the binary networks train side by side, each in a process of its own, on the labels and on
these logits (Hinton et al., "Distilling the knowledge in a neural network", arXiv 1503.02531). The last 2,500 training
images are held out: recipes are compared on them, never on the test set.

Each run leaves `NAME.safetensors` with its card, `NAME.latent.safetensors` (latent weights in float16, to go on from)
and `NAME.json` (recipe, learning curve, held-out and test accuracy); `recipes.md` and `curves.png` hold them together.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from spicekit import BinaryConv2d, Dataset, load_dataset
from spicekit.networks.checkpoints import save_checkpoint
from spicekit.networks.data import network_inputs
from spicekit.networks.inference import accuracy, predict_logits
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import Architecture, Card, Network, NetworkName, build
from spicekit.provenance import JsonDict, provenance

BATCH = 256
HELD_OUT = 2500  # the last training images
SHIFT = 4  # pixels both ways, black coming in
SETTLING = 10_000  # images that the inputs' normalisation, and at the end the norms' statistics, are taken from
TEACHER = "teacher.safetensors"


@dataclass(frozen=True)
class Recipe:
    """How one network is trained."""

    network: NetworkName
    width: float = 1.0
    bits: Literal[1, 4] = 1
    distil: float = 0.8
    """Weight of the teacher's logits in the loss; the labels have the rest."""
    temperature: float = 4.0
    """That softens both networks' logits where they are compared."""
    centre: bool = True
    """Latent weights of each output channel are kept at mean zero (Qin et al., "IR-Net", CVPR 2020)."""
    learning_rate: float = 2.5e-3
    """Peak rate of Adam: linear warm-up over a twentieth of the run, then a cosine down to zero."""
    averaging: float = 1e-3
    """Share of a step's weights in their running average, which is kept if held-out images say so."""
    epochs: int | None = None
    """Of the run; None trains until the time is up."""
    seed: int = 0


RECIPES = {
    "vgg-small": Recipe("vgg-small"),
    "resnet18": Recipe("resnet18"),
    "quarter": Recipe("vgg-small", width=0.25, epochs=60),
    "quarter-4bit": Recipe("vgg-small", width=0.25, bits=4, centre=False, epochs=60),
    "quarter-free": Recipe("vgg-small", width=0.25, centre=False, epochs=60),
    "quarter-alone": Recipe("vgg-small", width=0.25, distil=0.0, centre=False, epochs=60),
}


class FloatConv2d(BinaryConv2d):
    """The teacher's layer: rectified inputs, float weights, padding 0."""

    padding_level = 0.0

    def input_levels(self, values: Tensor) -> Tensor:
        return functional.relu(values)

    def weight_levels(self) -> Tensor:
        return self.weight

    def product(self, signs: Tensor) -> Tensor:
        return self.convolve(signs, self.weight, level=self.padding_level)


class Images:
    """Training images on the GPU, and batches of augmented copies of them."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.sample = network_inputs(dataset.images[:SETTLING])
        pixels = torch.from_numpy(dataset.images).to(device)
        self.padded = functional.pad(pixels, (0, 0, SHIFT, SHIFT, SHIFT, SHIFT))  # (n, h + 8, w + 8, c)
        self.labels = torch.from_numpy(dataset.labels.astype(np.int64)).to(device)
        self.side = torch.arange(pixels.shape[1], device=device)

    def plan(self, seed: int, epoch: int) -> Tensor:
        """What an epoch shows: (steps, batch, 4) of image, mirrored or not, and both shifts."""
        rng = torch.Generator().manual_seed(1_000_003 * seed + epoch)
        count = len(self.labels) // BATCH * BATCH
        order = torch.randperm(len(self.labels), generator=rng)[:count]
        mirrored = torch.randint(2, (count,), generator=rng)
        shifts = torch.randint(2 * SHIFT + 1, (count, 2), generator=rng)
        plan = torch.cat([order[:, None], mirrored[:, None], shifts], dim=1)
        return plan.reshape(-1, BATCH, 4).to(self.labels.device)

    def show(self, plan: Tensor) -> Tensor:
        """Pixels (batch, c, h, w) from 0 to 1 of a plan (batch, 4)."""
        image, mirrored, down, across = plan.unbind(1)
        rows = down[:, None] + self.side
        columns = across[:, None] + torch.where(mirrored[:, None] == 1, self.side.flip(0), self.side)
        pixels = self.padded[image[:, None, None], rows[:, :, None], columns[:, None, :]]
        return pixels.permute(0, 3, 1, 2).float().div(255)


class Trainer:
    """A network, its optimizer and the one step that both take; on a GPU the step is a graph, replayed."""

    def __init__(
        self,
        network: Network,
        images: Images,
        *,
        loss: Callable[[Tensor, Tensor], Tensor],
        decay: float = 0.0,
        averaging: float,
        centre: bool,
    ) -> None:
        self.network, self.images, self.loss = network, images, loss
        device = images.labels.device
        self.rate = torch.tensor(0.0, device=device)
        self.parameters: list[Tensor] = list(network.parameters())
        graphed = device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.rate, weight_decay=decay, capturable=graphed, foreach=graphed
        )
        self.rate = self.optimizer.param_groups[0]["lr"]
        self.average = [value.detach().clone() for value in self.parameters]
        self.averaging, self.centre = averaging, centre
        self.plan = torch.zeros(BATCH, 4, dtype=torch.long, device=device)
        self.sums = torch.zeros(2, device=device)  # loss, images classified rightly
        self.graph: torch.cuda.CUDAGraph | None = None
        if graphed:
            self._record()

    def _record(self) -> None:
        state = {name: value.clone() for name, value in self.network.state_dict().items()}
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # at rate 0: weights stay, workspaces and the optimizer's slots are made
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._step()
        with torch.no_grad():
            self.network.load_state_dict(state)
            for slots in self.optimizer.state.values():
                for value in slots.values():
                    value.zero_()
            for average, value in zip(self.average, self.parameters, strict=True):
                average.copy_(value)
        self.sums.zero_()

    def _step(self) -> None:
        pixels = self.images.show(self.plan)
        labels = self.images.labels[self.plan[:, 0]]
        with torch.autocast(pixels.device.type, torch.bfloat16, cache_enabled=False):
            logits = self.network(pixels).float()
        loss = self.loss(logits, self.plan)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        with torch.no_grad():
            for layer in binary_layers(self.network).values():
                if isinstance(layer, FloatConv2d):
                    continue
                if self.centre:
                    layer.weight.sub_(layer.weight.mean(dim=(1, 2, 3), keepdim=True))
                layer.clip_latent()
            torch._foreach_lerp_(self.average, self.parameters, self.averaging)
            self.sums += torch.stack([loss, (logits.argmax(1) == labels).sum()])

    def step(self, plan: Tensor, rate: float) -> None:
        self.rate.fill_(rate)
        self.plan.copy_(plan)
        if self.graph is None:
            self._step()
        else:
            self.graph.replay()


def learn(
    trainer: Trainer, *, peak: float, seed: int, until: float, epochs: int | None, held_out: Dataset
) -> list[JsonDict]:
    """Train for some epochs, or until a moment (s); the learning curve."""
    curve: list[JsonDict] = []
    begin, epoch, way = time.time(), 0, 0.0
    trainer.network.train()
    while way < 1:
        plan = trainer.images.plan(seed, epoch)
        trainer.sums.zero_()
        done = 0
        for index, batch in enumerate(plan):
            if epochs is None:
                if index % 20 == 0 and trainer.graph is not None:
                    torch.cuda.synchronize()  # launches run ahead of the GPU: time is that of the work done
                way = (time.time() - begin) / (until - begin)
            else:
                way = (epoch + index / len(plan)) / epochs
            if way >= 1 or time.time() > until:
                way = 1.0
                break
            done += 1
            trainer.step(batch, peak * min(way / 0.05, (1 + math.cos(math.pi * way)) / 2))
        epoch += 1
        if epochs is not None and epoch == epochs:
            way = 1.0
        if epoch % 5 == 0 or way >= 1:
            loss, right = (trainer.sums / max(done, 1)).tolist()
            curve.append(
                {
                    "epoch": epoch,
                    "seconds": round(time.time() - begin, 1),
                    "loss": round(loss, 4),
                    "accuracy": round(right / BATCH, 4),
                    "held_out_accuracy": accuracy(predict_logits(trainer.network, held_out, batch=500), held_out),
                }
            )
            print(json.dumps(curve[-1]), flush=True)
            trainer.network.train()
    return curve


@torch.no_grad()
def settle_norms(network: Network, images: Images, seed: int) -> None:
    """Take the norms' statistics, gathered while the weights moved, anew with the final ones, in float32."""
    for norm in (layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
    network.train()
    for batch in images.plan(seed, 1_000_000)[: max(SETTLING // BATCH, 1)]:
        network(images.show(batch))
    network.eval()


def train_teacher(images: Images, held_out: Dataset, out: Path, until: float) -> None:
    """Train a float ResNet-18; keep its logits (image, mirrored, down / 2, across / 2, class) in float16."""
    device = images.labels.device
    network = build(Architecture(name="resnet18"))
    for layer in binary_layers(network).values():
        layer.__class__ = FloatConv2d  # the same tensors, another product
    network.normalise.fit(images.sample)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(logits: Tensor, plan: Tensor) -> Tensor:
        return functional.cross_entropy(logits, images.labels[plan[:, 0]])

    trainer = Trainer(network, images, loss=loss, decay=0.05, averaging=1e-2, centre=False)
    curve = learn(trainer, peak=2e-3, seed=0, until=until, epochs=None, held_out=held_out)
    (out / "teacher.json").write_text(json.dumps(curve, indent=1))
    network.eval()
    places = torch.cartesian_prod(
        torch.arange(2, device=device),
        *[torch.arange(0, 2 * SHIFT + 1, 2, device=device)] * 2,
    )
    table = torch.empty(len(images.labels), len(places), 10, dtype=torch.float16, device=device)
    order = torch.arange(len(images.labels), device=device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for index, place in enumerate(places):
            for chosen in torch.split(order, 5000 if device.type == "cuda" else 50):
                table[chosen, index] = network(
                    images.show(torch.cat([chosen[:, None], place.expand(len(chosen), 3)], 1))
                ).half()
    save_file({"logits": table.cpu()}, out / TEACHER)


def train_student(name: str, images: Images, held_out: Dataset, arguments: argparse.Namespace) -> None:
    """Train one binary network; leave its checkpoint, latent weights and curve."""
    from safetensors.torch import load_file

    recipe = RECIPES[name]
    device = images.labels.device
    network = build(
        Architecture(name=recipe.network, width=recipe.width, bits=recipe.bits),
        seed=recipe.seed,
    )
    network.normalise.fit(images.sample)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = load_file(arguments.out / TEACHER)["logits"].to(device).flatten(0, 1)  # (n * places, classes)

    def loss(logits: Tensor, plan: Tensor) -> Tensor:
        hard = functional.cross_entropy(logits, images.labels[plan[:, 0]])
        down, across = (
            (plan[:, 2] + 1) // 2,
            (plan[:, 3] + 1) // 2,
        )  # of the nearest view that the teacher saw
        row = ((plan[:, 0] * 2 + plan[:, 1]) * (SHIFT + 1) + down) * (SHIFT + 1) + across
        wanted = functional.softmax(teacher[row].float() / recipe.temperature, dim=1)
        soft = functional.cross_entropy(logits / recipe.temperature, wanted) * recipe.temperature**2
        return (1 - recipe.distil) * hard + recipe.distil * soft

    trainer = Trainer(network, images, loss=loss, averaging=recipe.averaging, centre=recipe.centre)
    begin = time.time()
    curve = learn(
        trainer, peak=recipe.learning_rate, seed=recipe.seed, until=arguments.until - 20, epochs=recipe.epochs,
        held_out=held_out,
    )  # fmt: skip
    last = [value.detach().clone() for value in trainer.parameters]
    outcome: dict[str, Any] = {}
    for kind, values in (("average", trainer.average), ("last", last)):
        with torch.no_grad():
            for parameter, value in zip(trainer.parameters, values, strict=True):
                parameter.copy_(value)
        settle_norms(network, images, recipe.seed)
        outcome[kind] = accuracy(predict_logits(network, held_out, batch=500), held_out)
        outcome[f"{kind} weights"] = {key: value.clone() for key, value in network.state_dict().items()}
    kept = "average" if outcome["average"] > outcome["last"] else "last"
    network.load_state_dict(outcome[f"{kept} weights"])
    train_set = load_dataset("cifar10", "train", folder=arguments.folder)
    test_set = load_dataset("cifar10", "test", folder=arguments.folder)
    record = {
        **asdict(recipe), "kept": kept, "epochs": curve[-1]["epoch"], "batch": BATCH, "shift": SHIFT, "flip": True,
        "precision": "bfloat16", "held_out_images": HELD_OUT, "held_out_accuracy": outcome[kept],
        "held_out_accuracy_other": outcome["average" if kept == "last" else "last"],
        "hours": round((time.time() - begin) / 3600, 3),
    }  # fmt: skip
    card = Card(
        architecture=network.architecture,
        data="cifar10",
        source=test_set.source,
        classes=test_set.classes,
        train_images=len(train_set) - HELD_OUT,
        train_sha256=train_set.sha256,
        test_images=len(test_set),
        test_sha256=test_set.sha256,
        accuracy=accuracy(predict_logits(network, test_set, batch=500), test_set),
        recipe=record,
        made_by=provenance({"torch": torch.__version__, "device": device.type}),
    )
    save_checkpoint(network, arguments.out / f"{name}.safetensors", card=card)
    latent = {
        key: value.half().contiguous() for key, value in network.state_dict().items() if value.is_floating_point()
    }
    save_file(latent, arguments.out / f"{name}.latent.safetensors")
    (arguments.out / f"{name}.json").write_text(
        json.dumps({"recipe": record, "accuracy": card.accuracy, "curve": curve}, indent=1)
    )
    print(f"{name}: held out {outcome[kept]:.4f} ({kept}), test {card.accuracy:.4f}", flush=True)


def summarise(out: Path) -> None:
    """`recipes.md`, a line for each run, and `curves.png`, how they learned."""
    from matplotlib.figure import Figure

    runs = {name: json.loads(path.read_text()) for name in RECIPES if (path := out / f"{name}.json").is_file()}
    lines = [
        "| run | bits | width | epochs | hours | distilled | centred | averaged | held out | test |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, run in runs.items():
        recipe = run["recipe"]
        marks = [recipe["distil"] > 0, recipe["centre"], recipe["kept"] == "average"]
        lines.append(
            f"| {name} | {recipe['bits']} | {recipe['width']:g} | {recipe['epochs']} | {recipe['hours']:.2f} | "
            f"{' | '.join('yes' if mark else 'no' for mark in marks)} | "
            f"{recipe['held_out_accuracy']:.2%} | {run['accuracy']:.2%} |"
        )
        axes.plot(
            [point["epoch"] for point in run["curve"]],
            [100 * point["held_out_accuracy"] for point in run["curve"]],
            label=name,
        )
    axes.set(xlabel="epoch", ylabel="held-out training images\nclassified rightly / %")
    axes.grid(alpha=0.3)
    axes.legend(ncols=2)
    (out / "recipes.md").write_text("\n".join(lines) + "\n")
    figure.savefig(out / "curves.png", dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="that holds CIFAR-10")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=500.0, help="for everything")
    parser.add_argument("--teacher-seconds", type=float, default=60.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, help="train on so few, to try the script")
    parser.add_argument("--only", choices=RECIPES, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    until = arguments.until = arguments.until or begin + arguments.seconds
    torch.backends.cudnn.allow_tf32 = False  # norms settle, and accuracies are taken, in float32
    torch.backends.cudnn.benchmark = True
    whole = load_dataset("cifar10", "train", folder=arguments.folder)
    held_out = Dataset(
        whole.name,
        whole.split,
        whole.images[-HELD_OUT:],
        whole.labels[-HELD_OUT:],
        whole.classes,
        whole.source,
    )
    train_set = whole.first(arguments.images or len(whole) - HELD_OUT)
    images = Images(train_set, torch.device(arguments.device))
    print(f"{arguments.only or 'teacher'}: images read in {time.time() - begin:.1f} s", flush=True)
    if arguments.only:
        train_student(arguments.only, images, held_out, arguments)
        return
    train_teacher(images, held_out, arguments.out, time.time() + arguments.teacher_seconds)
    print(f"teacher done after {time.time() - begin:.0f} s", flush=True)
    del images
    if arguments.device == "cuda":
        torch.cuda.empty_cache()
    passed = [word for word in sys.argv[1:] if word != "--until"]
    students = [
        subprocess.Popen([sys.executable, __file__, *passed, "--only", name, "--until", str(until)]) for name in RECIPES
    ]
    failed = [name for name, student in zip(RECIPES, students, strict=True) if student.wait()]
    summarise(arguments.out)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
