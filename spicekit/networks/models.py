"""VGG-small and ResNet-18 with binary convolutions; first layer, batch norms and classifier are digital.

A network takes images as (n, c, 32, 32) float32, pixels from 0 to 1, and normalises them itself, so that no
caller can get that wrong. Names of layers appear in reports and checkpoints: they are part of the interface.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from spicekit.config import Config
from spicekit.networks.layers import BinaryConv2d, MultiBitConv2d
from spicekit.provenance import JsonDict

NetworkName = Literal["vgg-small", "resnet18"]


class Architecture(Config):
    """Which network, and its sizes: all that is needed to build it."""

    name: NetworkName
    classes: int = Field(default=10, ge=2, le=1000)
    channels: Literal[1, 3] = 3
    """Colour channels of the input."""
    width: float = Field(default=1.0, gt=0, le=4)
    """Factor on the number of channels of every layer."""
    bits: Literal[1, 4] = 1
    """Of weights and inputs of the layers that run on tiles; 4 is there for comparison."""

    def scaled(self, channels: int) -> int:
        """Channels of the first layer, which has `channels` of them at width 1; the others have multiples."""
        return max(1, round(channels * self.width))


class Card(Config):
    """What a checkpoint holds and where it comes from."""

    architecture: Architecture
    data: str
    """Name of the data set."""
    source: str
    """Whose data it is."""
    classes: tuple[str, ...]
    train_images: int = Field(ge=1)
    train_sha256: str
    test_images: int = Field(ge=1)
    test_sha256: str
    accuracy: float = Field(ge=0, le=1)
    """Fraction of the test images classified rightly; on the recipe's tiles where it names some."""
    recipe: JsonDict
    """How it was trained, seed and epochs included."""
    made_by: JsonDict
    """Versions, command and time."""


class Network(nn.Module):
    """A binary network that knows its architecture, its inputs' normalisation and, once trained, its card."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.card: Card | None = None
        self.normalise = Normalise(architecture.channels)


class Normalise(nn.Module):
    """(pixels - mean) / deviation for each colour channel; pixels from 0 to 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((channels,), 0.5))
        self.register_buffer("deviation", torch.full((channels,), 0.5))

    def fit(self, pixels: Tensor) -> None:
        """Take mean and deviation from images (n, c, h, w)."""
        self.mean.copy_(pixels.mean(dim=(0, 2, 3)))
        self.deviation.copy_(pixels.std(dim=(0, 2, 3)))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean[:, None, None]) / self.deviation[:, None, None]


@contextmanager
def norms_anew(network: nn.Module) -> Iterator[None]:
    """Inside this context batch norms take statistics, a plain mean over batches, from nothing; then they keep them."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    yield
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


class VggSmall(Network):
    """Six convolutions (five binary), pooled after the 2nd, 4th and 6th, and one classifier.

    The VGG-small of the binary-network literature (Zhang et al., "LQ-Nets", ECCV 2018). Pooling comes before
    batch norm and sign: a maximum of signs would be +1 nearly everywhere (Rastegari et al., ECCV 2016).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        widths = [architecture.scaled(128) * factor for factor in (1, 1, 2, 2, 4, 4)]
        tiled = TILED[architecture.bits]
        self.conv1 = nn.Conv2d(architecture.channels, widths[0], 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(widths[0])
        self.conv2 = tiled(widths[0], widths[1])
        self.norm2 = nn.BatchNorm2d(widths[1])
        self.conv3 = tiled(widths[1], widths[2])
        self.norm3 = nn.BatchNorm2d(widths[2])
        self.conv4 = tiled(widths[2], widths[3])
        self.norm4 = nn.BatchNorm2d(widths[3])
        self.conv5 = tiled(widths[3], widths[4])
        self.norm5 = nn.BatchNorm2d(widths[4])
        self.conv6 = tiled(widths[4], widths[5])
        self.norm6 = nn.BatchNorm2d(widths[5])
        self.classifier = nn.Linear(widths[5] * 4 * 4, architecture.classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, 32, 32), pixels from 0 to 1."""
        x = self.norm1(self.conv1(self.normalise(pixels)))
        x = self.norm2(_pooled(self.conv2(x)))
        x = self.norm3(self.conv3(x))
        x = self.norm4(_pooled(self.conv4(x)))
        x = self.norm5(self.conv5(x))
        x = self.norm6(_pooled(self.conv6(x)))
        x = functional.interpolate(functional.hardtanh(x), size=(4, 4))  # of smaller images, in training
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


def _pooled(x: Tensor) -> Tensor:
    """The largest of each 2 x 2 values (n, c, h, w), in a tenth of the time of torch's own loop.

    A gradient is torch's: of equal values it goes to the first, where a maximum of two hands it to both.
    """
    if x.requires_grad or x.shape[2] % 2 or x.shape[3] % 2:
        return functional.max_pool2d(x, 2)
    lines = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    return torch.maximum(lines[..., ::2], lines[..., 1::2])


class ResNet18(Network):
    """CIFAR stem, four layers of two blocks with two binary convolutions each, image mean, one classifier.

    Layout of He et al., CVPR 2016, with a real-valued shortcut around every single binary convolution, after
    Liu et al., "Bi-Real Net", ECCV 2018. Shortcuts have no weights: no product is hidden in them.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        widths = [architecture.scaled(64) * factor for factor in (1, 2, 4, 8)]
        block = partial(Block, tiled=TILED[architecture.bits])
        self.conv1 = nn.Conv2d(architecture.channels, widths[0], 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(widths[0])
        self.layer1 = nn.Sequential(block(widths[0], widths[0]), block(widths[0], widths[0]))
        self.layer2 = nn.Sequential(block(widths[0], widths[1], stride=2), block(widths[1], widths[1]))
        self.layer3 = nn.Sequential(block(widths[1], widths[2], stride=2), block(widths[2], widths[2]))
        self.layer4 = nn.Sequential(block(widths[2], widths[3], stride=2), block(widths[3], widths[3]))
        self.classifier = nn.Linear(widths[3], architecture.classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, 32, 32), pixels from 0 to 1."""
        x = self.norm1(self.conv1(self.normalise(pixels)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits


class Block(nn.Module):
    """Two binary convolutions, each with its own shortcut."""

    def __init__(self, in_channels: int, out_channels: int, *, tiled: type[BinaryConv2d], stride: int = 1) -> None:
        super().__init__()
        self.conv1 = tiled(in_channels, out_channels, stride=stride)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = tiled(out_channels, out_channels)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x)).add_(_shortcut(x, self.conv1))
        x = self.norm2(self.conv2(x)).add_(x)
        return x


# The convolutions that run on tiles, by the bits of their weights and inputs.
TILED: dict[int, type[BinaryConv2d]] = {1: BinaryConv2d, 4: MultiBitConv2d}


def _shortcut(x: Tensor, conv: BinaryConv2d) -> Tensor:
    """What goes around a binary convolution: averaged down, and repeated over channels, where it must be."""
    if max(conv.geometry.stride) > 1:
        x = functional.avg_pool2d(x, conv.geometry.stride)
    more = conv.out_channels // conv.in_channels
    return x if more == 1 else x.repeat(1, more, 1, 1)


def build(architecture: Architecture, *, seed: int = 0) -> Network:
    """A fresh network in training mode; its weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return VggSmall(architecture) if architecture.name == "vgg-small" else ResNet18(architecture)
