"""A network as its authors wrote it, made fit for tiles: its binary layers are found by watching it work.

What a layer's own `forward` does around its product (signs, scales, biases, padding of its own) stays as it is; the
product alone is computed from bits, by a `BinaryConv` that tiles can take the place of.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spicekit.errors import BadInput
from spicekit.networks.as_written import (
    AsWritten,
    Bits,
    binary_weights,
    compute,
    levels,
    look_at,
    tolerance,
    watching,
)
from spicekit.networks.layers import BinaryConv, BinaryLinear, binary_layers
from spicekit.networks.products import Product


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
    if not isinstance(example, Tensor) or not example.numel():
        what = "has no images" if isinstance(example, Tensor) else f"is a {type(example).__name__}"
        raise BadInput(
            f"adopt: the example {what}; pass a batch as the network takes it, of a Dataset next(images.batches(16))."
        )
    adopted = own_copy(unwrapped(network))
    for name, module in reversed(list(adopted.named_modules())):  # inner wrappers first
        if (inner := unwrapped(module)) is not module:
            adopted.set_submodule(name, inner)
    check_finite(adopted)
    like = next((tensor for tensor in adopted.state_dict().values() if tensor.is_floating_point()), example)
    example = example.to(like.device, like.dtype) if example.is_floating_point() else example.to(like.device)
    hooks = {name: look_at(module, name) for name, module in adopted.named_modules()}
    names = list(hooks) if binary == "auto" else [name.removeprefix("module.") for name in binary]
    if unknown := set(names) - hooks.keys():
        raise BadInput(f"adopt: the network has no layer {', '.join(map(repr, sorted(unknown)))}.")
    sides: dict[str, tuple[int, ...]] = {}
    watched = _watch(adopted, example, sides)
    own = binary_layers(adopted)
    if binary != "auto":
        for name in names:
            products = [each for each in watched if each.module == name]
            if not products:
                raise BadInput(f"adopt: layer {name} computed no product on the example; name one that does.")
            if refused := [each for each in products if each.digital and each.ordinal >= 0]:
                raise BadInput(f"adopt: layer {name} is not binary: {refused[0].digital}.")
    watched = [each if each.module in names else each.left("it was not asked for") for each in watched]
    for name, hook in hooks.items():
        products = [each for each in watched if each.module == name]
        if name in names:
            hook.digital = frozenset(each.ordinal for each in products if each.bits is None)
        if taken := {each.ordinal: each.bits for each in products if each.bits is not None}:
            written = adopted.get_submodule(name)
            around = AsWritten(name, written, taken)
            for alias, each in list(adopted.named_modules(remove_duplicate=False)):
                if each is written and alias:
                    adopted.set_submodule(alias, around)
            adopted = adopted if name else around
    places = {id(layer): name for name, layer in binary_layers(adopted).items()}
    found = [
        Found(places[id(layer)], layer.geometry.text(layer.out_channels), layer, sides.get(name, ()), "")
        for name, layer in own.items()
    ]
    found += [each.found(places) for each in watched]
    survey = Survey(tuple(found))
    report(str(survey))
    if all(each.layer is None for each in found):
        raise BadInput(f"adopt: no layer of the network is binary:\n{survey}")
    with torch.no_grad():
        adopted.eval()(example)  # refuses a layer that is called around the `AsWritten` in its place
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


def check_binary(network: nn.Module) -> nn.Module:
    """A network out of its wrappers; `BadInput` unless it has binary layers, each of them with finite weights."""
    network = unwrapped(network)
    layers = binary_layers(network)
    if not layers:
        raise BadInput("the network has no layer for tiles: build it of BinaryConv2d, or pass it through adopt().")
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise BadInput(f"layer {name} has weights that are not finite; train it anew.")
    return network


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
    """Why it stays digital; "" of one that has bits."""

    def left(self, reason: str) -> "_Watched":
        """The same, digital."""
        return replace(self, bits=None, digital=self.digital or reason)

    def found(self, places: Mapping[int, str]) -> Found:
        """For people; `places` has names of layers by their identity."""
        if self.bits is None:
            return Found(self.module, self.shape, None, self.sides, self.digital)
        layers = self.bits.layers
        name = places[id(layers[0])]
        name = name if len(layers) == 1 else name.rpartition(".")[0]
        return Found(name, self.shape, layers[0], self.sides, "", len(layers))


@torch.no_grad()
def _watch(network: nn.Module, example: Tensor, sides: dict[str, tuple[int, ...]]) -> list[_Watched]:
    """Every product of a pass; a second pass, on other images, shows what depends on these.

    `sides` gets those of what each layer of the project's own sees.
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
            seen[key] = old.left("its weights change from call to call")
        elif not old.bits.alike(new.bits):
            seen[key] = old.left("its geometry, or the two values of its inputs, change from call to call")

    def run(images: Tensor) -> None:
        try:
            with watching(look):
                network(images)
        except (RuntimeError, TypeError, IndexError) as error:
            raise BadInput(
                f"adopt: the network fails on the example, {example.dtype} shaped {tuple(example.shape)}: {error}"
            ) from error

    def note(name: str, layer: BinaryConv, arguments: tuple[Tensor, ...]) -> None:
        sides[name] = tuple(arguments[0].shape[2:]) if layer.geometry.kernel else ()

    handles = [
        layer.register_forward_pre_hook(functools.partial(note, name)) for name, layer in binary_layers(network).items()
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


def _examine(name: str, ordinal: int, product: Product, output: Tensor) -> _Watched:
    if product.unheld:
        advice = "a layer with constant weights can be written with linear, conv or matmul"
        return _Watched(name, ordinal, product.unheld, (), None, f"multiplies in a way that is not watched; {advice}")
    outputs = len(product.weight)
    sides = tuple(product.inputs.shape[2:]) if product.axes else ()
    shape = product.geometry.text(outputs, product.groups)

    def stays(reason: str) -> _Watched:
        return _Watched(name, ordinal, shape, sides, None, reason)

    seen, weights = levels(product), binary_weights(product.weight, name)
    if isinstance(seen, str):
        return stays(seen)
    if isinstance(weights, str):
        return stays(weights)
    (level, from_zero, frame), (_, signs) = seen, weights
    geometry = product.geometry
    pads = tuple((p + f, q + g) for (p, q), (f, g) in zip(geometry.padding, frame, strict=True))
    geometry = replace(geometry, padding=pads)
    shape = geometry.text(outputs, product.groups)
    sides = tuple(side - sum(ends) for side, ends in zip(sides, frame, strict=True)) if product.axes else ()
    zero_padded = not from_zero and (any(side > 0 for pair in pads for side in pair) or max((1, *geometry.spread)) > 1)
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


def own_copy(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode.

    `BadInput` for what a copy cannot follow: a function that holds a layer goes on with the one that was copied, and a
    tensor that is computed from others belongs to them.
    """
    modules = dict(network.named_modules())
    known = {id(module) for module in modules.values()}
    for name, module in modules.items():
        where = f"layer {name}" if name else "the network"
        if isinstance(module, torch.jit.ScriptModule):
            raise BadInput(
                f"{where} is a traced or scripted module, which hides its layers; pass the module that it was made "
                f"from, or export that to ONNX and read the file."
            )
        if unwrapped(module) is not module:  # torch knows how to copy its own
            continue
        for key, value in vars(module).items():
            for each in value.values() if isinstance(value, dict) else [value]:
                if isinstance(each, Tensor) and not each.is_leaf:
                    raise BadInput(
                        f"{where} holds {key!r}, a tensor that is computed from others, as torch's old weight_norm "
                        f"and spectral_norm leave it: take it off (torch.nn.utils.remove_weight_norm), or use "
                        f"torch.nn.utils.parametrizations."
                    )
                if isinstance(each, FunctionType) and known & {id(held) for held in _held(each)}:
                    raise BadInput(
                        f"{where} holds {key!r}, a function that keeps a layer of its own and would go on with the "
                        f"original in every copy; make it a method."
                    )
    return copy.deepcopy(network).eval()


def _held(function: FunctionType) -> Iterator[Any]:
    """What a function keeps from where it was made; of bound methods whose they are."""
    cells = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # not filled yet
            cells.append(cell.cell_contents)
    for value in (*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield from (getattr(each, "__self__", each) for each in (value if isinstance(value, list) else [value]))
