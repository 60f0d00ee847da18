"""A layer of any class whose product comes from bits: all else that its `forward` does stays."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks.layers import BinaryConv
from spicekit.networks.products import Product, Products


@dataclass(frozen=True, eq=False)
class Bits:
    """How a product is computed from bits: scale * (dot products of signs) and, for inputs 0 and a, a constant."""

    layers: tuple[BinaryConv, ...]
    """One for each group."""
    level: float
    """a: the inputs are -a and +a, or 0 and a."""
    from_zero: bool
    frame: tuple[tuple[int, int], ...]
    """Zeros around the inputs on each axis, part of the layers' own padding."""
    dtype: torch.dtype
    """Of the output."""

    def alike(self, other: "Bits") -> bool:
        """Whether another call of the layer is computed in the same way, but for its weights."""
        mine, others = (
            (
                each.layers[0].geometry,
                len(each.layers),
                each.layers[0].zero_padded,
                each.from_zero,
                each.frame,
            )
            for each in (self, other)
        )
        return mine == others and abs(self.level - other.level) <= tolerance(self.dtype) * self.level


class AsWritten(nn.Module):
    """A module as its authors wrote it, but for some of its products: they come from bits.

    Its forward pass runs the module's own. In training mode the gradient is that of the product as written, whatever
    computes the bits' part: straight through.
    """

    def __init__(self, name: str, written: nn.Module, bits: dict[int, Bits]) -> None:
        super().__init__()
        self.name = name
        self.written = written
        self.bits = {place: replace(each, layers=()) for place, each in bits.items()}
        for place, each in bits.items():
            self.add_module(
                child_name(place), each.layers[0] if len(each.layers) == 1 else nn.ModuleList(each.layers)
            )

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "written" or name.startswith(
                "__"
            ):  # while it is being unpickled; how to copy is no layer's own
                raise
            return getattr(self.written, name)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """What the module gives, its products from bits."""
        counter = itertools.count()

        def handler(
            func: Callable[..., Tensor], product: Product, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Tensor:
            if product.unheld or (place := next(counter)) not in self.bits:
                return func(*args, **kwargs)
            layers = self.get_submodule(child_name(place))
            own = layers if isinstance(layers, nn.ModuleList) else [layers]
            bits = replace(
                self.bits[place], layers=tuple(each for each in own if isinstance(each, BinaryConv))
            )
            with torch.no_grad():
                from_bits = compute(bits, product, self.name)
            if not (self.training and torch.is_grad_enabled()):
                return from_bits
            ideal = func(*args, **kwargs)
            return ideal + (from_bits - ideal).detach()

        with Products(handler):
            return self.written(*arguments, **options)


def compute(bits: Bits, product: Product, name: str) -> Tensor:
    """A product from bits; `BadInput` if inputs or weights have become others than they were."""
    channels = -1 if product.axes == 0 else 1
    frame = bits.frame or ((0, 0),) * product.axes
    pads = tuple((p + f, q + g) for (p, q), (f, g) in zip(product.geometry.padding, frame, strict=True))
    expected = bits.layers[0].geometry
    if (replace(product.geometry, padding=pads), product.groups) != (expected, len(bits.layers)):
        raise BadInput(
            f"layer {name} is called with another geometry ({product.geometry.text(len(product.weight))}) than on the "
            f"example ({expected.text(bits.layers[0].out_channels)}); give each its own module."
        )
    inputs = product.inputs
    for axis, (before, after) in enumerate(bits.frame):
        inputs = inputs.narrow(2 + axis, before, inputs.shape[2 + axis] - before - after)
    lowest = 0.0 if bits.from_zero else -bits.level
    upper = inputs > (lowest + bits.level) / 2
    off = (inputs - torch.where(upper, bits.level, lowest)).abs().max()
    if not off <= tolerance(inputs.dtype) * bits.level:
        raise BadInput(
            f"layer {name} gets inputs other than {lowest:g} and {bits.level:g} that the example had; where a sign is "
            f"taken, sign(0) must be +1."
        )
    scale, signs = binary_weights(product.weight, name)
    for layer, own in zip(bits.layers, signs.chunk(len(bits.layers)), strict=True):
        if not torch.equal(layer.weight, own):
            with torch.no_grad():
                layer.weight.copy_(own)
    halves = torch.where(upper, 1.0, -1.0).to(bits.layers[0].weight.dtype)
    dots = [
        layer(part) for layer, part in zip(bits.layers, halves.chunk(len(bits.layers), channels), strict=True)
    ]
    total = dots[0] if len(dots) == 1 else torch.cat(dots, channels)
    shape = (-1, *(1,) * product.axes)
    if bits.from_zero:
        total = (total + signs.flatten(1).sum(1).reshape(shape)) / 2
    factor = scale.detach() * bits.level
    wide = total.to(torch.promote_types(bits.dtype, torch.float32))
    if not (factor == 1).all():
        wide = wide * factor.to(wide.dtype).reshape(shape)
    if product.bias is not None:
        wide = wide + product.bias.to(wide.dtype).reshape(shape)
    return wide.to(bits.dtype)


def binary_weights(weight: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Scale (c_out,) and signs (c_out, ..) of weights that are -s or +s; `BadInput` says how many are not."""
    flat = weight.detach().flatten(1)
    scale = flat.abs().amax(1)
    odd = ~(flat.abs() >= (1 - tolerance(weight.dtype)) * scale[:, None]) | (scale == 0)[:, None]
    if odd.any():
        raise BadInput(
            f"{int(odd.sum()):,} of {flat.numel():,} weights of {name or 'the network'} are neither -s nor +s of their "
            f"output channel"
        )
    return scale, torch.where(weight.detach() > 0, 1.0, -1.0)


def tolerance(dtype: torch.dtype) -> float:
    """Of what is one value, relative to it.

    sign(w) s - w + w, as straight-through estimators leave it, is off by up to the rounding of w, which may be some
    hundred times s: 1e-5 in single precision. 16-bit types round coarser.
    """
    return 1e-4 if dtype in (torch.float32, torch.float64) else 8 * torch.finfo(dtype).eps


def child_name(ordinal: int) -> str:
    return "binary" if ordinal == 0 else f"binary{ordinal + 1}"
