"""A network as its authors wrote it, made fit for tiles: its binary layers are found by watching it work.

What a layer's own `forward` does around its product (signs, scales, biases, padding of its own) stays as it is; the
product alone is computed from bits, by a `BinaryConv` that tiles can take the place of.
"""

import copy
import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks.as_written import AsWritten, Bits, binary_weights, child_name, compute, tolerance
from spicekit.networks.layers import BinaryConv, BinaryLinear, binary_layers
from spicekit.networks.products import Product, watching


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
    groups: int = 1


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
        If a tensor is not finite, no layer is binary, a named one is not, the network cannot be watched, or
        calls a layer by a reference that PyTorch does not know.

    Examples
    --------
    >>> signs = nn.Linear(8, 2, bias=False)
    >>> _ = nn.init.constant_(signs.weight, -1.0)
    >>> adopt(signs, torch.tensor([[1.0, -1, 1, 1, -1, -1, 1, -1]]))
    AsWritten(
      (written): Linear(in_features=8, out_features=2, bias=False)
      (binary): BinaryLinear(8 -> 2)
    )
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
    if not isinstance(network, nn.Module):
        raise BadInput(f"adopt: expected a torch.nn.Module, got {type(network).__name__}.")
    if not isinstance(example, Tensor):
        raise BadInput(
            f"adopt: the example is a {type(example).__name__}; pass a batch as the network takes it, of a Dataset "
            f"next(images.batches(16))."
        )
    adopted = _own_copy(network)
    check_finite(adopted)
    like = next((tensor for tensor in adopted.state_dict().values() if tensor.is_floating_point()), example)
    example = example.to(like.device, like.dtype) if example.is_floating_point() else example.to(like.device)
    names = "auto" if binary == "auto" else [name.removeprefix("module.") for name in binary]
    if names != "auto" and (unknown := set(names) - {name for name, _ in adopted.named_modules()}):
        raise BadInput(f"adopt: the network has no layer {', '.join(map(repr, sorted(unknown)))}.")
    native: dict[str, tuple[int, ...]] = {}
    watched = _watch(adopted, example, native)
    by_module: dict[str, list[_Watched]] = {}
    for each in watched:
        by_module.setdefault(each.module, []).append(each)
    if names != "auto" and (idle := [name for name in names if name not in by_module]):
        raise BadInput(f"adopt: layer {idle[0]} computed no product on the example; name one that does.")
    found = [
        Found(name, layer.geometry.text(layer.out_channels), layer, native.get(name, ()), "")
        for name, layer in binary_layers(adopted).items()
    ]
    for module, products in by_module.items():
        wanted = names == "auto" or module in names
        taken = {each.ordinal: each for each in products if not each.digital and wanted}
        written = adopted.get_submodule(module)
        inner = [
            name
            for name, theirs in by_module.items()
            if name != module
            and name.startswith(f"{module}." if module else "")
            and any(each.ordinal >= 0 for each in theirs)
        ]
        if taken and inner:
            clash = f"it also runs {inner[0]}, which multiplies too; make its own product a module"
            products = [replace(each, digital=each.digital or clash) for each in products]
            taken = {}
        if (
            names != "auto"
            and module in names
            and (refused := [each for each in products if each.digital and each.ordinal >= 0])
        ):
            raise BadInput(f"adopt: layer {module} is not binary: {refused[0].digital}.")
        if taken:
            around = AsWritten(
                module, written, {place: each.bits for place, each in taken.items() if each.bits}
            )
            for alias, each in list(adopted.named_modules(remove_duplicate=False)):
                if each is written and alias:
                    adopted.set_submodule(alias, around)
            adopted = adopted if module else around
        for each in products:
            digital = each.digital or ("" if wanted else "it was not asked for")
            bits = None if digital else each.bits
            name = module if bits is None else ".".join(filter(None, (module, child_name(each.ordinal))))
            layer, groups = (bits.layers[0], len(bits.layers)) if bits else (None, 1)
            found.append(Found(name, each.shape, layer, each.sides, digital, groups))
    survey = Survey(tuple(found))
    report(str(survey))
    if all(each.layer is None for each in found):
        raise BadInput(f"adopt: no layer of the network is binary:\n{survey}")
    adopted.eval()
    _check_in_place(adopted, example)
    return adopted, survey


def check_finite(network: nn.Module) -> None:
    """`BadInput` naming the first tensor with a NaN or infinity."""
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            odd = int((~torch.isfinite(value)).sum())
            raise BadInput(
                f"adopt: {odd} of {value.numel()} values of {name} are NaN or infinite; the training diverged: take "
                f"an earlier state."
            )


_SPREAD = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(network: nn.Module) -> nn.Module:
    """A network out of the wrappers that spread or compile it."""
    while True:
        if isinstance(network, _SPREAD):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):  # of torch.compile
            network = inner
        else:
            return network


def check_binary(network: nn.Module) -> None:
    """`BadInput` unless a network has binary layers, each of them with finite weights."""
    layers = binary_layers(network)
    if not layers:
        raise BadInput(
            "the network has no layer for tiles: build it of BinaryConv2d, or pass it through adopt()."
        )
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise BadInput(f"layer {name} has weights that are not finite; train it anew.")


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
def _watch(network: nn.Module, example: Tensor, native: dict[str, tuple[int, ...]]) -> list[_Watched]:
    """Every product of a pass; a second pass, on other images, shows what depends on these.

    `native` gets the sides of what each layer of the project's own sees.
    """
    seen: dict[tuple[str, int], _Watched] = {}
    weights: dict[tuple[str, int], Tensor] = {}

    def look(name: str, ordinal: int, product: Product, output: Tensor) -> None:
        with torch.random.fork_rng(devices=[]):  # new layers begin with random weights
            key, new = (name, ordinal), _examine(name, ordinal, product, output)
        old = seen.setdefault(key, new)
        if old.bits is None or new.bits is None:
            seen[key] = new if old.bits else old
        elif not torch.equal(weights.setdefault(key, product.weight.clone()), product.weight):
            seen[key] = replace(old, digital="its weights change from call to call", bits=None)
        elif not old.bits.alike(new.bits):
            seen[key] = replace(
                old,
                digital="its geometry, or the two values of its inputs, change from call to call",
                bits=None,
            )

    def run(images: Tensor) -> None:
        try:
            with watching(network, look, native=BinaryConv):
                network(images)
        except (RuntimeError, TypeError, IndexError) as error:
            raise BadInput(
                f"adopt: the network fails on the example, {example.dtype} shaped {tuple(example.shape)}: {error}"
            ) from error

    def note(name: str, layer: BinaryConv, arguments: tuple[Tensor, ...]) -> None:
        native[name] = tuple(arguments[0].shape[2:]) if layer.geometry.kernel else ()

    handles = [
        layer.register_forward_pre_hook(functools.partial(note, name))
        for name, layer in binary_layers(network).items()
    ]
    random_state = torch.cuda.get_rng_state if example.is_cuda else torch.get_rng_state
    before = random_state()
    run(example)
    for handle in handles:
        handle.remove()
    run(torch.roll(example, 1, dims=-1))
    if not torch.equal(before, random_state()):
        raise BadInput(
            "adopt: the network draws random numbers in evaluation mode, so that no two passes agree; take its signs "
            "without chance where `self.training` is false."
        )
    return list(seen.values())


@torch.no_grad()
def _check_in_place(adopted: nn.Module, example: Tensor) -> None:
    """`BadInput` for a layer that the network also calls around the `AsWritten` in its place, from a list say."""
    balance: Counter[str] = Counter()
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name, step=step: balance.update({name: step}))
        for name, around in adopted.named_modules()
        if isinstance(around, AsWritten)
        for module, step in ((around, 1), (around.written, -1))
    ]
    adopted(example)
    for handle in handles:
        handle.remove()
    if astray := [name for name, calls in balance.items() if calls]:
        raise BadInput(
            f"adopt: the network calls layer {astray[0]} by a reference that PyTorch does not know, such as a plain "
            f"list, and would compute it in software; hold it in an nn.ModuleList, or call it by its attribute."
        )


def _examine(name: str, ordinal: int, product: Product, output: Tensor) -> _Watched:
    if product.unheld:
        advice = "a layer with constant weights can be written with linear, conv or matmul"
        return _Watched(
            name, ordinal, product.unheld, (), None, f"multiplies in a way that is not watched; {advice}"
        )
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
        _, signs = binary_weights(product.weight, name)
    except BadInput as error:
        return stays(str(error))
    geometry = product.geometry
    pads = tuple((p + f, q + g) for (p, q), (f, g) in zip(geometry.padding, frame, strict=True))
    geometry = replace(geometry, padding=pads)
    shape = geometry.text(outputs, product.groups)
    sides = tuple(side - sum(ends) for side, ends in zip(sides, frame, strict=True)) if product.axes else ()
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
    if not worst <= tolerance(output.dtype) * output.double().abs().max():
        return stays(f"computed from bits it differs by {worst:.3g}")
    return _Watched(name, ordinal, shape, sides, bits, "")


def _levels(product: Product) -> tuple[float, bool, tuple[tuple[int, int], ...]] | str:
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
        if (
            ((inputs - low).abs() <= tolerance(inputs.dtype) * level)
            .logical_or((inputs - high).abs() <= tolerance(inputs.dtype) * level)
            .all()
        ):
            pair = f"{low:.3g} and {high:.3g}"
            return f"its inputs are {pair}, neither -a and +a nor 0 and a: multiply signs, and add the rest"
        return f"its inputs are not of two values: they go from {low:.3g} to {high:.3g}"
    if not zero.any():
        return level, False, nothing
    if not (inputs < -level / 2).any():
        return level, True, nothing
    if product.axes:
        inside = ~zero.flatten(0, 1).all(dim=0)
        frame = []
        for axis in range(product.axes):
            along = torch.nonzero(inside.movedim(axis, 0).reshape(inside.shape[axis], -1).any(1)).flatten()
            frame.append((int(along[0]), len(inside.movedim(axis, 0)) - 1 - int(along[-1])))
        box = zero
        for axis, (before, after) in enumerate(frame):
            box = box.narrow(2 + axis, before, box.shape[2 + axis] - before - after)
        if not box.any():
            return level, False, tuple(frame)
    return f"{int(zero.sum()):,} of its {zero.numel():,} inputs are 0, neither -{level:g} nor +{level:g}"


def _own_copy(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, out of the wrappers that spread or compile a network."""
    network = unwrapped(network)
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
    for name, module in reversed(list(copied.named_modules())):  # inner wrappers first
        if (inner := unwrapped(module)) is not module:
            copied.set_submodule(name, inner)
    return copied
