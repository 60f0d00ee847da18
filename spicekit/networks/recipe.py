"""What determines a training run, apart from the machine."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from spicekit.config import Config, parse
from spicekit.networks.card import NetworkName


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
