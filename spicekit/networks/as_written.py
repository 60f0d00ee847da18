"""A module of any class at work: its products are seen, and those that are binary come from bits.

All else that its `forward` does stays. What an adopted network computes is held to what its example showed: a binary
product that comes up later is refused, because software would compute it and nobody would know.
"""

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode

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

    @property
    def how(self) -> tuple[object, ...]:
        """What has to be the same at each call, besides the level."""
        first = self.layers[0]
        return first.geometry, first.zero_padded, len(self.layers), self.from_zero, self.frame

    def alike(self, other: "Bits") -> bool:
        """Whether another call of the layer is computed in the same way, but for its weights."""
        return self.how == other.how and abs(self.level - other.level) <= tolerance(self.dtype) * self.level


class AsWritten(nn.Module):
    """A module as its authors wrote it, but for some of its own products: they come from bits.

    Its forward pass runs the module's own. In training mode the gradient is that of the product as written, whatever
    computes the bits' part: straight through.
    """

    def __init__(self, name: str, written: nn.Module, bits: dict[int, Bits]) -> None:
        super().__init__()
        self.name = name
        self.written = written
        self.bits = {place: replace(each, layers=()) for place, each in bits.items()}
        for place, each in bits.items():
            self.add_module(child_name(place), each.layers[0] if len(each.layers) == 1 else nn.ModuleList(each.layers))

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # while it is being unpickled there is none; and how to copy is no layer's own
            if name == "written" or name.startswith("__"):
                raise
            return getattr(self.written, name)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """What the module gives, its products from bits."""
        if torch.compiler.is_compiling():  # torch's compiler cannot read what bits do, and goes around it
            return torch.compiler.disable(self.forward)(*arguments, **options)  # type: ignore[no-untyped-call]
        _begin(self, AtWork(self.name))
        try:
            return self.written(*arguments, **options)
        finally:
            _end(self)

    def product(self, place: int, product: Product, as_written: Callable[[], Tensor]) -> Tensor:
        """The module's own product of that place, from bits."""
        layers = self.get_submodule(child_name(place))
        own = layers if isinstance(layers, nn.ModuleList) else [layers]
        bits = replace(self.bits[place], layers=tuple(each for each in own if isinstance(each, BinaryConv)))
        with torch.no_grad():
            from_bits = compute(bits, product, self.name)
        if not (self.training and torch.is_grad_enabled()):
            return from_bits
        ideal = as_written()
        return ideal + (from_bits - ideal).detach()


# -- modules at work ------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class AtWork:
    """Forward pre-hook of every module of an adopted network: its products are looked at while it is at work.

    But for modules that torch's compiler runs.
    """

    name: str
    digital: Container[int] | None = None
    """Its own products that are known to stay digital, by their places in a call; None for any."""

    def __call__(self, module: nn.Module, _arguments: Any) -> None:
        if not torch.compiler.is_compiling():
            _begin(module, self)


@dataclass(eq=False)
class _Running:
    """One call of a module."""

    module: nn.Module
    hook: AtWork
    caller: FrameType | None = None
    """Of the outermost module."""
    places: list[int] = field(default_factory=lambda: [0, -1])
    """Of its next own product: up from 0, and down from -1 of those that are unheld."""

    def place(self, product: Product) -> int:
        which = int(bool(product.unheld))
        self.places[which] += 1 - 2 * which
        return self.places[which] - 1 + 2 * which


Look = Callable[[str, int, Product, Tensor], None]
"""Gets the name of the module at work, which of its own products this is, the product, and its output."""


class _Thread(threading.local):
    def __init__(self) -> None:
        self.running: list[_Running] = []
        self.entered = False
        self.look: Look | None = None


_THREAD = _Thread()


def look_at(module: nn.Module, name: str) -> AtWork:
    """Have the products of a module looked at, whatever else it computes; its name stands in errors."""
    hook = next((each for each in module._forward_pre_hooks.values() if isinstance(each, AtWork)), None)
    if hook is None:
        hook = AtWork(name)
        module.register_forward_pre_hook(hook, prepend=True)
        module.register_forward_hook(_end, always_call=True)
    hook.name, hook.digital = name, None
    return hook


def require_tiles(network: nn.Module) -> None:
    """Have modules that no `adopt` has seen refuse binary products of their own: no binary layer computes these."""
    for name, module in network.named_modules():
        if not any(isinstance(hook, AtWork) for hook in module._forward_pre_hooks.values()):
            look_at(module, name).digital = range(-sys.maxsize, 0)  # all that are unheld


@contextlib.contextmanager
def watching(look: Look) -> Iterator[None]:
    """Inside this context a function sees each product of the modules that are looked at, but for binary layers'."""
    _THREAD.look = look
    try:
        yield
    finally:
        _THREAD.look = None


def _begin(module: nn.Module, hook: AtWork) -> None:
    running = _THREAD.running
    if not running or _asking(running) is None:
        running[:] = [_Running(module, hook, sys._getframe(2))]
        if not _THREAD.entered:
            _MODE.__enter__()  # type: ignore[no-untyped-call]
            _THREAD.entered = True
    else:
        running.append(_Running(module, hook))


def _end(module: nn.Module, *_result: Any) -> None:
    if torch.compiler.is_compiling():
        return
    running = _THREAD.running
    if running and running[-1].module is module:
        running.pop()
        if not running and _get_current_function_mode() is _MODE:  # type: ignore[no-untyped-call]
            _MODE.__exit__(None, None, None)
            _THREAD.entered = False


def _asking(running: list[_Running]) -> nn.Module | None:
    """The module that runs the code which asks: the innermost one, or another one whose hooks run by now.

    None if the outermost one is not at work any more: an interruption by the user ends it without a word.
    """
    at: FrameType | None = sys._getframe()
    found: nn.Module | None = None
    while at is not None and at is not running[0].caller:
        if found is None and at.f_code is nn.Module._call_impl.__code__:
            found = at.f_locals["self"]
        at = at.f_back
    if at is None:
        return None
    return running[0].module if found is None else found


def _handle(func: Callable[..., Tensor], product: Product, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    running = _THREAD.running
    now = running[-1] if running else None
    if now is None or _asking(running) is not now.module:
        return func(*args, **kwargs)
    place, around = now.place(product), running[-2].module if len(running) > 1 else None
    if isinstance(around, AsWritten) and around.written is now.module and place in around.bits:
        return around.product(place, product, lambda: func(*args, **kwargs))
    output = func(*args, **kwargs)
    if _THREAD.look is not None:
        _THREAD.look(now.hook.name, place, product, output)
    elif now.hook.digital is not None and place not in now.hook.digital and not now.module.training:
        _require_digital(product, now.hook.name)
    return output


_MODE = Products(_handle)


def _require_digital(product: Product, name: str) -> None:
    """`BadInput` for a product that tiles might have computed."""
    where = f"layer {name}" if name else "the network"
    if product.unheld:
        what = f"multiplies by {product.unheld}"
    elif isinstance(binary_weights(product.weight, name), str) or isinstance(levels(product), str):
        return
    else:
        what = f"computes a binary product ({product.geometry.text(len(product.weight), product.groups)})"
    raise BadInput(
        f"{where} {what} outside of its tiles, where software would compute it: give adopt() the network and an "
        f"example that shows it, and call layers by references that PyTorch knows (attributes, an nn.ModuleList)."
    )


# -- one product ----------------------------------------------------------------------------------------------------


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
    weights = binary_weights(product.weight, name)
    if isinstance(weights, str):
        raise BadInput(f"layer {name}: {weights}, as they were on the example.")
    scale, signs = weights
    for layer, own in zip(bits.layers, signs.chunk(len(bits.layers)), strict=True):
        if not torch.equal(layer.weight, own):
            with torch.no_grad():
                layer.weight.copy_(own)
    halves = torch.where(upper, 1.0, -1.0).to(bits.layers[0].weight.dtype)
    dots = [layer(part) for layer, part in zip(bits.layers, halves.chunk(len(bits.layers), channels), strict=True)]
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


def binary_weights(weight: Tensor, name: str) -> tuple[Tensor, Tensor] | str:
    """Scale (c_out,) and signs (c_out, ..) of weights that are -s or +s; or how many are not."""
    flat = weight.detach().flatten(1)
    scale = flat.abs().amax(1)
    odd = ~(flat.abs() >= (1 - tolerance(weight.dtype)) * scale[:, None]) | (scale == 0)[:, None]
    if odd.any():
        return (
            f"{int(odd.sum()):,} of {flat.numel():,} weights of {name or 'the network'} are neither -s nor +s of their "
            f"output channel"
        )
    return scale, torch.where(weight.detach() > 0, 1.0, -1.0)


def levels(product: Product) -> tuple[float, bool, tuple[tuple[int, int], ...]] | str:
    """a, whether the inputs are 0 and a (else -a and +a), and the frame of zeros around them; or what they are."""
    inputs = product.inputs
    nothing = ((0, 0),) * product.axes
    if not inputs.is_floating_point() or not inputs.numel():
        return f"its inputs are {inputs.dtype}"
    level = float(inputs.abs().max())
    zero = inputs.abs() <= tolerance(inputs.dtype) * level
    full = (inputs.abs() - level).abs() <= tolerance(inputs.dtype) * level
    if level == 0 or not math.isfinite(level) or not (zero | full).all():
        low, high = float(inputs.min()), float(inputs.max())
        near = [(inputs - value).abs() <= tolerance(inputs.dtype) * level for value in (low, high)]
        if (near[0] | near[1]).all():
            pair = f"{low:.3g} and {high:.3g}"
            return f"its inputs are {pair}, neither -a and +a nor 0 and a: multiply signs, and add the rest"
        return f"its inputs are not of two values: they go from {low:.3g} to {high:.3g}"
    if not zero.any():
        return level, False, nothing
    if not (inputs < -level / 2).any():
        return level, True, nothing
    if product.axes:
        places, sides = (~zero.flatten(0, 1).all(dim=0)).nonzero(), inputs.shape[2:]
        ends = zip(places.amin(0).tolist(), places.amax(0).tolist(), sides, strict=True)
        frame = tuple((first, side - 1 - last) for first, last, side in ends)
        cut = (slice(before, side - after) for (before, after), side in zip(frame, sides, strict=True))
        box = zero[(slice(None), slice(None), *cut)]
        if not box.any():
            return level, False, frame
    return f"{int(zero.sum()):,} of its {zero.numel():,} inputs are 0, neither -{level:g} nor +{level:g}"


def tolerance(dtype: torch.dtype) -> float:
    """Of what is one value, relative to it.

    sign(w) s - w + w, as straight-through estimators leave it, is off by up to the rounding of w, which may be some
    hundred times s: 1e-5 in single precision. 16-bit types round coarser.
    """
    return 1e-4 if dtype in (torch.float32, torch.float64) else 8 * torch.finfo(dtype).eps


def child_name(ordinal: int) -> str:
    return "binary" if ordinal == 0 else f"binary{ordinal + 1}"
