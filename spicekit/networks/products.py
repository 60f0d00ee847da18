"""Sees every linear operator that a network computes, whatever module asks: inputs and weights as it applies them.

A network's binary layers take their signs in ways of their own: inside `forward`, from latent weights, through a
quantiser, times means. What they all come to is a call of torch with an input and a weight; a mode of torch sees that.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from spicekit.networks.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Product:
    """One linear operator at work."""

    inputs: Tensor
    """(n, c, *sides); without axes (.., c)."""
    weight: Tensor
    """(c_out, c / groups, *kernel)."""
    bias: Tensor | None
    geometry: Geometry
    """Of each group."""
    groups: int
    unheld: str = ""
    """Name of an operator that multiplies in another way than cells can; "" of all others."""

    @property
    def axes(self) -> int:
        """0 of a fully connected layer, 2 of a convolution of images."""
        return len(self.geometry.kernel)


Handler = Callable[[Callable[..., Tensor], Product, tuple[Any, ...], dict[str, Any]], Tensor]
"""Gives the operator's output; gets what was called, and how."""


class Products(TorchFunctionMode):
    """While it is entered, linear operators go through a handler."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        foreign = next((kind for kind in types if not issubclass(kind, Tensor)), None)
        if (
            foreign is not None
        ):  # a quantiser's own kind of tensor (brevitas), which calls again with plain ones
            with self:
                return foreign.__torch_function__(func, types, args, kwargs or {})
        read = _READERS.get(func)
        product = read(*args, **(kwargs or {})) if read is not None else None
        if product is None:
            return func(*args, **(kwargs or {}))
        return self._handler(func, product, args, kwargs or {})


@contextlib.contextmanager
def watching(
    network: nn.Module, handler: Callable[[str, int, Product, Tensor], None], *, native: type[nn.Module]
) -> Iterator[None]:
    """Inside this context the handler sees each product that a network computes, and the output.

    It gets the dotted name of the innermost module at work and how many products this has computed before in the same
    call; those that are unheld count for themselves, down from -1. Products within `native` modules are left out.
    """
    running: list[tuple[str, list[int], bool]] = []
    handles = []
    for name, module in network.named_modules():

        def enter(module: nn.Module, _arguments: Any, *, name: str = name) -> None:
            running.append((name, [0, -1], isinstance(module, native)))

        def leave(_module: nn.Module, _arguments: Any, _output: Any) -> None:
            running.pop()

        handles += [
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(leave, always_call=True),
        ]

    def look(
        func: Callable[..., Tensor], product: Product, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        output = func(*args, **kwargs)
        name, count, inside_native = running[-1]
        if not any(native for _, _, native in running) and not inside_native:
            which = int(bool(product.unheld))
            handler(name, count[which], product, output)
            count[which] += -1 if which else 1
        return output

    try:
        with Products(look):
            yield
    finally:
        for handle in handles:
            handle.remove()


# -- how torch is called ------------------------------------------------------------------------------------------


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return (
        (int(value),) * axes
        if not isinstance(value, tuple | list)
        else tuple(map(int, value)) * (axes // len(value))
    )


def _convolution(axes: int) -> Callable[..., Product | None]:
    def read(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Product | None:
        if input.ndim != axes + 2:
            return None
        kernel, steps = tuple(weight.shape[2:]), _each(dilation, axes)
        if padding == "same":
            wide = [step * (k - 1) for step, k in zip(steps, kernel, strict=True)]
            pads = tuple((total // 2, total - total // 2) for total in wide)
        else:
            pads = tuple((side, side) for side in _each(0 if padding == "valid" else padding, axes))
        geometry = Geometry(weight.shape[1], kernel, _each(stride, axes), steps, pads, (1,) * axes)
        return Product(input, weight, bias, geometry, groups)

    return read


def _transposed(axes: int) -> Callable[..., Product | None]:
    """A convolution, kernel reversed, over inputs that lie `stride` apart."""

    def read(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Product | None:
        if input.ndim != axes + 2:
            return None
        kernel, steps = tuple(weight.shape[2:]), _each(dilation, axes)
        pads = tuple(
            (step * (k - 1) - pad, step * (k - 1) - pad + extra)
            for step, k, pad, extra in zip(
                steps, kernel, _each(padding, axes), _each(output_padding, axes), strict=True
            )
        )
        apart = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
        reversed_kernel = apart.flip(tuple(range(2, 2 + axes)))
        geometry = Geometry(apart.shape[1], kernel, (1,) * axes, steps, pads, _each(stride, axes))
        return Product(input, reversed_kernel, bias, geometry, groups)

    return read


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Product | None:
    return Product(input, weight, bias, Geometry(weight.shape[-1]), 1) if weight.ndim == 2 else None


def _matmul(input: Tensor, other: Tensor, **_options: Any) -> Product | None:
    """Inputs times weights (c_in, c_out), or weights (c_out, c_in) times the columns of inputs (n, c_in, length)."""
    if not isinstance(other, Tensor) or min(input.ndim, other.ndim) < 2:
        return None
    if other.ndim == 2:
        return _linear(input, other.t())
    if (input.ndim, other.ndim) == (2, 3):
        return _convolution(1)(other, input[..., None])
    return _unheld("matmul")(input)


def _addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Product | None:
    return _linear(mat1, mat2.t(), input) if (beta, alpha) == (1, 1) else None


def _unheld(name: str) -> Callable[..., Product]:
    """Without weights (c_out, c_in) that stay the same, or called in a way that does not show them."""

    def read(*arguments: Any, **options: Any) -> Product:
        given = next(
            (each for each in (*arguments, *options.values()) if isinstance(each, Tensor)), torch.empty(0)
        )
        return Product(given, given, None, Geometry(1), 1, name)

    return read


_READERS: dict[Callable[..., Any], Callable[..., Product | None]] = {
    torch.conv1d: _convolution(1),
    torch.conv2d: _convolution(2),
    torch.conv3d: _convolution(3),
    torch.conv_transpose1d: _transposed(1),
    torch.conv_transpose2d: _transposed(2),
    torch.conv_transpose3d: _transposed(3),
    functional.linear: _linear,
    torch.matmul: _matmul,
    torch.mm: _matmul,
    torch.addmm: _addmm,
    Tensor.matmul: _matmul,
    Tensor.mm: _matmul,
    Tensor.__matmul__: _matmul,
    **{
        func: _unheld(func.__name__)
        for func in (
            torch.bmm,
            Tensor.bmm,
            torch.baddbmm,
            torch.einsum,
            torch.tensordot,
            torch.bilinear,
            torch.lstm,
            torch.gru,
            torch.rnn_tanh,
            torch.rnn_relu,
            functional.multi_head_attention_forward,
            functional.scaled_dot_product_attention,
        )
    },
}
