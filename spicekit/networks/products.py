"""Sees every linear operator that a network computes, whatever module asks: inputs and weights as it applies them.

A network's binary layers take their signs in ways of their own: inside `forward`, from latent weights, through a
quantiser, times means. What they all come to is a call of torch with an input and a weight; a mode of torch sees that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
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
        if foreign is not None:  # a quantiser's own kind of tensor (brevitas): calls again with plain ones
            with self:
                return foreign.__torch_function__(func, types, args, kwargs or {})
        kwargs = kwargs or {}
        if func in _READERS:
            try:
                product = _READERS[func](*args, **kwargs)
            except TypeError:  # called by other names of arguments
                product = None
            return self._handler(func, product or _unheld(func, *args, **kwargs), args, kwargs)
        return func(*args, **kwargs)


# -- how torch is called ------------------------------------------------------------------------------------------


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return (
        (int(value),) * axes if not isinstance(value, tuple | list) else tuple(map(int, value)) * (axes // len(value))
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


def _matmul(input: Tensor, other: Tensor) -> Product | None:
    """Inputs times weights (c_in, c_out), or weights (c_out, c_in) times the columns of inputs (n, c_in, length)."""
    if not isinstance(other, Tensor) or input.ndim < 2:
        return None
    if other.ndim == 2:
        return _linear(input, other.t())
    return _convolution(1)(other, input[..., None]) if (input.ndim, other.ndim) == (2, 3) else None


def _addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Product | None:
    return _linear(mat1, mat2.t(), input) if (beta, alpha) == (1, 1) else None


def _never(*_arguments: Any, **_options: Any) -> None:
    """Of operators without weights (c_out, c_in) that stay the same, or called in a way that does not show them."""


def _unheld(func: Callable[..., Any], *arguments: Any, **options: Any) -> Product:
    tensors = (each for each in (*arguments, *options.values()) if isinstance(each, Tensor))
    given = next(tensors, torch.empty(0))
    return Product(given, given, None, Geometry(1), 1, func.__name__)


_READERS: dict[Callable[..., Any], Callable[..., Product | None]] = {
    torch.conv1d: _convolution(1),
    torch.conv2d: _convolution(2),
    torch.conv3d: _convolution(3),
    torch.conv_transpose1d: _transposed(1),
    torch.conv_transpose2d: _transposed(2),
    torch.conv_transpose3d: _transposed(3),
    functional.linear: _linear,
    **dict.fromkeys((torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.linalg.matmul), _matmul),
    **dict.fromkeys((torch.mm, Tensor.mm), _matmul),
    **dict.fromkeys((torch.addmm, Tensor.addmm), _addmm),
    **dict.fromkeys(
        (
            *(
                torch.mv,
                Tensor.mv,
                torch.addmv,
                Tensor.addmv,
                torch.dot,
                Tensor.dot,
                torch.inner,
                Tensor.inner,
            ),
            *(torch.bmm, Tensor.bmm, torch.baddbmm, Tensor.baddbmm, torch.addbmm, Tensor.addbmm),
            *(torch.einsum, torch.tensordot, torch.bilinear, torch.chain_matmul, torch.linalg.multi_dot),
            *(torch.linalg.vecdot, torch.convolution, torch.conv_tbc),
            *(torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu),
            *(torch.lstm_cell, torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell),
            functional.multi_head_attention_forward,
            functional.scaled_dot_product_attention,
        ),
        _never,
    ),
}
