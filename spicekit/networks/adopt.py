"""A network as its authors wrote it, made fit for tiles: its binary layers are found by watching it work.

What a layer's own `forward` does around its product (signs, scales, biases, padding of its own) stays as it is; the
product alone is computed from bits, by a `BinaryConv` that tiles can take the place of.
"""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks.layers import BinaryConv, BinaryLinear, binary_layers
from spicekit.networks.products import Product, Products, watching


@dataclass(frozen=True)
class Found:
    """One linear operator of a network."""

    name: str
    """Of the layer on tiles; of the module at work where the product stays digital."""
    shape: str
    layer: BinaryConv | None
    """Of one group; None where the product stays digital."""
    sides: tuple[int, ...]
    """Of the image that it gets; () for vectors."""
    digital: str
    """Why it stays digital; "" of a layer on tiles."""


@dataclass(frozen=True)
class Survey:
    """What `adopt` found, as a table."""

    found: tuple[Found, ...]

    def __str__(self) -> str:
        rows = [(each.name or "(the network)", each.shape, each.digital or "on tiles") for each in self.found]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)


def adopt(
    network: nn.Module,
    example: Tensor,
    *,
    binary: Sequence[str] | Literal["auto"] = "auto",
    report: Callable[[str], None] = lambda text: None,
) -> nn.Module:
    """A copy of a network, in evaluation mode, whose binary layers can run on tiles.

    Binary is a linear operator (convolution over any number of axes, grouped, dilated or transposed; fully connected
    layer) whose inputs are -a or +a (or 0 or a), and whose weights are -s or +s, one s for each output channel, as the
    layer applies them, up to rounding. Zeros around an image count as padding.

    Parameters
    ----------
    network : nn.Module
        Of any classes; stays as it is.
    example : Tensor
        A batch that the network takes. What it shows is taken as the rule, and checked at each later call.
    binary : "auto" or names
        Take all binary layers, or the named ones (dotted names of modules) and leave the others digital.
    report : function, optional
        Called with the table of what was taken and what stays digital, and why.

    Raises
    ------
    BadInput
        If a tensor is not finite, no layer is binary, a named one is not, or the network cannot be watched.
    """
    return adopt_and_survey(network, example, binary=binary, report=report)[0]


def adopt_and_survey(
    network: nn.Module,
    example: Tensor,
    *,
    binary: Sequence[str] | Literal["auto"] = "auto",
    report: Callable[[str], None] = lambda text: None,
) -> tuple[nn.Module, Survey]:
    """As `adopt`, with the table."""
    adopted = _own_copy(network)
    check_finite(adopted)
    like = next((tensor for tensor in adopted.state_dict().values() if tensor.is_floating_point()), example)
    example = example.to(like.device, like.dtype) if example.is_floating_point() else example.to(like.device)
    names = "auto" if binary == "auto" else [name.removeprefix("module.") for name in binary]
    if names != "auto" and (unknown := set(names) - {name for name, _ in adopted.named_modules()}):
        raise BadInput(f"adopt: the network has no layer {', '.join(map(repr, sorted(unknown)))}.")
    watched = _watch(adopted, example)
    by_module: dict[str, list[_Watched]] = {}
    for each in watched:
        by_module.setdefault(each.module, []).append(each)
    if names != "auto" and (idle := [name for name in names if name not in by_module]):
        raise BadInput(f"adopt: layer {idle[0]} computed no product on the example; name one that does.")
    found = [
        Found(name, layer.geometry.text(layer.out_channels), layer, (), "")
        for name, layer in binary_layers(adopted).items()
    ]
    for module, products in by_module.items():
        wanted = names == "auto" or module in names
        taken = {each.ordinal: each for each in products if not each.digital and wanted}
        written = adopted.get_submodule(module)
        inner = [
            name for name in by_module if name != module and name.startswith(f"{module}." if module else "")
        ]
        if taken and inner:
            clash = f"it also runs {inner[0]}, which multiplies too; make its own product a module"
            products = [replace(each, digital=each.digital or clash) for each in products]
            taken = {}
        if names != "auto" and module in names and (refused := [each for each in products if each.digital]):
            raise BadInput(f"adopt: layer {module} is not binary: {refused[0].digital}.")
        if taken:
            around = AsWritten(
                module, written, {place: each.bits for place, each in taken.items() if each.bits}
            )
            if module:
                adopted.set_submodule(module, around)
            else:
                adopted = around
        for each in products:
            digital = each.digital or ("" if wanted else "it was not asked for")
            bits = None if digital else each.bits
            name = module if bits is None else ".".join(filter(None, (module, _child(each.ordinal))))
            found.append(Found(name, each.shape, bits.layers[0] if bits else None, each.sides, digital))
    survey = Survey(tuple(found))
    report(str(survey))
    if all(each.layer is None for each in found):
        raise BadInput(f"adopt: no layer of the network is binary:\n{survey}")
    return adopted.eval(), survey


def check_finite(network: nn.Module) -> None:
    """`BadInput` naming the first tensor with a NaN or infinity."""
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            odd = int((~torch.isfinite(value)).sum())
            raise BadInput(
                f"adopt: {odd} of {value.numel()} values of {name} are NaN or infinite; the training diverged: take "
                f"an earlier state."
            )


def check_binary(network: nn.Module) -> None:
    """`BadInput` unless a network has binary layers, each of them with finite weights."""
    layers = binary_layers(network)
    if not layers:
        raise BadInput(
            "the network has no layer for tiles: build it of BinaryConv2d, or pass it through adopt()."
        )
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise BadInput(f"check_binary: layer {name} has weights that are not finite; train it anew.")


# -- what takes the place of a layer -------------------------------------------------------------------------------


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
                _child(place), each.layers[0] if len(each.layers) == 1 else nn.ModuleList(each.layers)
            )

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "written":  # while it is being unpickled
                raise
            return getattr(self.written, name)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """What the module gives, its products from bits."""
        counter = itertools.count()

        def handler(
            func: Callable[..., Tensor], product: Product, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Tensor:
            place = next(counter)
            if place not in self.bits:
                return func(*args, **kwargs)
            layers = self.get_submodule(_child(place))
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
    inputs = product.inputs
    for axis, (before, after) in enumerate(bits.frame):
        inputs = inputs.narrow(2 + axis, before, inputs.shape[2 + axis] - before - after)
    lowest = 0.0 if bits.from_zero else -bits.level
    upper = inputs > (lowest + bits.level) / 2
    off = (inputs - torch.where(upper, bits.level, lowest)).abs().max()
    if not off <= _tolerance(inputs.dtype) * bits.level:
        raise BadInput(
            f"layer {name} gets inputs other than {lowest:g} and {bits.level:g} that the example had; where a sign is "
            f"taken, sign(0) must be +1."
        )
    scale, signs = _binary_weights(product.weight, name)
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


# -- watching -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Watched:
    module: str
    ordinal: int
    """Among the module's own products."""
    shape: str
    sides: tuple[int, ...]
    bits: Bits | None
    digital: str


@torch.no_grad()
def _watch(network: nn.Module, example: Tensor) -> list[_Watched]:
    """Every product of a pass; a second pass, on other images, shows which weights depend on these."""
    seen: dict[tuple[str, int], _Watched] = {}
    weights: dict[tuple[str, int], Tensor] = {}

    def first(name: str, ordinal: int, product: Product, output: Tensor) -> None:
        key, new = (name, ordinal), _examine(name, ordinal, product, output)
        if key not in seen or new.digital:
            seen[key] = new
        if not new.digital:
            weights[key] = product.weight.clone()

    def second(name: str, ordinal: int, product: Product, output: Tensor) -> None:
        key = name, ordinal
        if key in weights and not torch.equal(weights[key], product.weight):
            seen[key] = replace(seen[key], digital="its weights change from call to call")

    def run(handler: Callable[[str, int, Product, Tensor], None], images: Tensor) -> None:
        try:
            with watching(network, handler, native=BinaryConv):
                network(images)
        except (RuntimeError, TypeError, IndexError) as error:
            raise BadInput(
                f"adopt: the network fails on the example, {example.dtype} shaped {tuple(example.shape)}: {error}"
            ) from error

    run(first, example)
    run(second, torch.roll(example, 1, dims=-1))
    return list(seen.values())


def _examine(name: str, ordinal: int, product: Product, output: Tensor) -> _Watched:
    outputs = len(product.weight)
    sides = tuple(product.inputs.shape[2:]) if product.axes else ()
    shape = product.geometry.text(outputs, product.groups)

    def stays(reason: str) -> _Watched:
        return _Watched(name, ordinal, shape, sides, None, reason)

    levels = _levels(product)
    if isinstance(levels, str):
        return stays(levels)
    level, from_zero, frame = levels
    try:
        _, signs = _binary_weights(product.weight, name)
    except BadInput as error:
        return stays(str(error))
    geometry = product.geometry
    pads = tuple((p + f, q + g) for (p, q), (f, g) in zip(geometry.padding, frame, strict=True))
    geometry = replace(geometry, padding=pads)
    zero_padded = not from_zero and (
        any(side > 0 for pair in pads for side in pair) or max((1, *geometry.spread)) > 1
    )
    layers: tuple[BinaryConv, ...] = tuple(
        BinaryConv(geometry, outputs // product.groups, zero_padded=zero_padded)
        if product.axes
        else BinaryLinear(geometry.in_channels, outputs)
        for _ in range(product.groups)
    )
    for layer, own in zip(layers, signs.chunk(product.groups), strict=True):
        layer.weight.data = own.clone()
        layer.eval().to(product.weight.device)
    bits = Bits(layers, level, from_zero, frame if any(map(any, frame)) else (), output.dtype)
    got = compute(bits, product, name)
    worst = (got.double() - output.double()).abs().max()
    if not worst <= _tolerance(output.dtype) * output.double().abs().max():
        return stays(f"computed from bits it differs by {worst:.3g}")
    return _Watched(name, ordinal, shape, sides, bits, "")


def _levels(product: Product) -> tuple[float, bool, tuple[tuple[int, int], ...]] | str:
    """a, whether the inputs are 0 and a (else -a and +a), and the frame of zeros around them; or what they are."""
    inputs = product.inputs
    nothing = ((0, 0),) * product.axes
    if not inputs.is_floating_point() or not inputs.numel():
        return f"its inputs are {inputs.dtype}"
    level = float(inputs.abs().max())
    zero = inputs.abs() <= _tolerance(inputs.dtype) * level
    full = (inputs.abs() - level).abs() <= _tolerance(inputs.dtype) * level
    if level == 0 or not math.isfinite(level) or not (zero | full).all():
        low, high = float(inputs.min()), float(inputs.max())
        return f"its inputs are not of two values: they go from {low:.3g} to {high:.3g}"
    if not zero.any():
        return level, False, nothing
    if not (inputs < -level / 2).any():
        return level, True, nothing
    if product.axes:
        inside = ~zero.flatten(0, 1).all(dim=0)
        frame = []
        for axis in range(product.axes):
            along = torch.nonzero(inside.movedim(axis, 0).flatten(1).any(1)).flatten()
            frame.append((int(along[0]), len(inside.movedim(axis, 0)) - 1 - int(along[-1])))
        box = zero
        for axis, (before, after) in enumerate(frame):
            box = box.narrow(2 + axis, before, box.shape[2 + axis] - before - after)
        if not box.any():
            return level, False, tuple(frame)
    return f"{int(zero.sum()):,} of its {zero.numel():,} inputs are 0, neither -{level:g} nor +{level:g}"


def _binary_weights(weight: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Scale (c_out,) and signs (c_out, ..) of weights that are -s or +s; `BadInput` says how many are not."""
    flat = weight.detach().flatten(1)
    scale = flat.abs().amax(1)
    odd = ~(flat.abs() >= (1 - _tolerance(weight.dtype)) * scale[:, None]) | (scale == 0)[:, None]
    if odd.any():
        raise BadInput(
            f"{int(odd.sum()):,} of {flat.numel():,} weights of {name or 'the network'} are neither -s nor +s of their "
            f"output channel"
        )
    return scale, torch.where(weight.detach() > 0, 1.0, -1.0)


def _tolerance(dtype: torch.dtype) -> float:
    """Of what is one value, relative to it.

    sign(w) s - w + w, as straight-through estimators leave it, is off by up to the rounding of w, which may be some
    hundred times s: 1e-5 in single precision. 16-bit types round coarser.
    """
    return 1e-4 if dtype in (torch.float32, torch.float64) else 8 * torch.finfo(dtype).eps


def _own_copy(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, out of the wrappers that spread or compile a network."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(network, wrappers):
            network = network.module
        elif isinstance(getattr(network, "_orig_mod", None), nn.Module):  # of torch.compile
            network = network._orig_mod  # type: ignore[assignment]
        else:
            break
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise BadInput(
                f"adopt: {name or 'the network'} is a traced or scripted module, which hides its layers; pass the "
                f"module that it was made from, or export that to ONNX and read the file."
            )
    try:
        copied = copy.deepcopy(network).eval()
    except RuntimeError as error:
        raise BadInput(f"adopt: the network cannot be copied ({error}).") from error
    for name, module in list(copied.named_modules()):
        if isinstance(module, wrappers):
            copied.set_submodule(name, module.module)
    return copied


def _child(ordinal: int) -> str:
    return "binary" if ordinal == 0 else f"binary{ordinal + 1}"
