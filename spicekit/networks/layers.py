"""The layer that runs on tiles: a convolution whose weights and inputs are signs, -1 or +1.

Signs and bits are two encodings of the same thing, `bit = (sign + 1) / 2`, and sign(0) = +1. Padding is -1
(bit 0) always, so that an array of cells, which knows no third value, computes exactly this layer. Scales
live in the batch norm that follows: the layer's output is an integer.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def signs_of(values: Tensor) -> Tensor:
    """-1 where a value is negative, else +1: a tensor of the same shape and type.

    >>> signs_of(torch.tensor([-0.5, 0.0, 2.0])).tolist()
    [-1.0, 1.0, 1.0]
    """
    return torch.sign(values).add_(0.5).sign_()  # 0 becomes 0.5, then +1; quicker than comparing and choosing


class BinaryConv2d(nn.Module):
    """A convolution of signs with signs: no bias, no scale, padding -1.

    The weights are latent floats while training; the forward pass takes their signs. Inputs (n, c_in, h, w)
    of any real value are binarised on entry. The output (n, c_out, h_out, w_out) float32 holds dot products:
    integers between -c_in k k and +c_in k k, exact in evaluation mode.

    To run the layer on something else than torch, a tile engine for instance, assign a function to
    `layer.product`; it takes the signs (n, c_in, h, w), not yet padded, and returns what `product` does.
    `del layer.product` brings the exact product back.

    Parameters
    ----------
    in_channels, out_channels : int
        c_in and c_out.
    kernel_size : int
        k, the side of the square kernel.
    stride, padding : int
        Step of the kernel; rows and columns of -1 put around the image.
    """

    bits = 1
    """Of a weight and of an input."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, values: Tensor) -> Tensor:
        """Dot products (n, c_out, h_out, w_out) of the signs of `values` (n, c_in, h, w)."""
        return self.product(self.input_levels(values))

    def input_levels(self, values: Tensor) -> Tensor:
        """What the layer makes of real inputs of any shape: signs."""
        signs: Tensor = _ActivationSign.apply(values)  # type: ignore[no-untyped-call]
        return signs

    def weight_levels(self) -> Tensor:
        """What the layer makes of its latent weights: signs (c_out, c_in, k, k)."""
        signs: Tensor = _WeightSign.apply(self.weight)  # type: ignore[no-untyped-call]
        return signs

    def product(self, signs: Tensor) -> Tensor:
        """Integer dot products (n, c_out, h_out, w_out) float32 of signs (n, c_in, h, w)."""
        padded = functional.pad(signs, (self.padding,) * 4, value=1.0 - 2**self.bits)
        dots = functional.conv2d(padded, self.weight_levels(), stride=self.stride)
        # Fast convolution algorithms (Winograd) work with fractions; the true result is an integer.
        return dots if self.training else dots.round()

    def weight_bits(self) -> Tensor:
        """Weights as stored in cells: (bits c_out, c_in, k, k) uint8, 1 for +1 and 0 for -1; low planes first."""
        with torch.no_grad():
            return bit_planes(self.weight_levels(), bits=self.bits).flatten(0, 1)

    @torch.no_grad()
    def set_weight_bits(self, planes: Tensor) -> None:
        """Latent weights in the middle of what the bits (bits c_out, c_in, k, k) stand for."""
        code = torch.einsum("p,p...->...", _powers(self.bits), _apart(planes.float(), 0, self.bits))
        self.weight.copy_((2 * code + 1 - 2**self.bits) / (2**self.bits - 1))

    @torch.no_grad()
    def clip_latent(self) -> None:
        """Keep the latent weights in [-1, 1], so that a weight which grew can still flip back."""
        self.weight.clamp_(-1.0, 1.0)

    def extra_repr(self) -> str:
        """What `print(network)` shows."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}"
        )


class MultiBitConv2d(BinaryConv2d):
    """A convolution whose weights and inputs have four bits, for comparison: the sum of 16 binary ones.

    With signs s_p and t_q, sum(2^p s_p) and sum(2^q t_q) are the odd integers from -15 to 15, and the dot product of
    two vectors of such numbers is sum(2^(p+q) dot(s_p, t_q)): bit-sliced, it runs on the tiles of a binary layer.
    Padding is all bits 0, -15.

    Weights are quantised uniformly in [-1, 1], inputs in [-2, 2]; batch norm makes both scales free. Assumed: inputs
    within two standard deviations, weights that begin with a deviation of 1 / 2.7, near what loses least of a normal
    variable at 16 uniform levels.
    """

    bits = 4

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size=kernel_size, stride=stride, padding=padding)
        nn.init.normal_(self.weight, std=1 / 2.7)

    def input_levels(self, values: Tensor) -> Tensor:
        """Odd integers of real inputs of any shape."""
        levels: Tensor = _OddInteger.apply(values / 2, self.bits)  # type: ignore[no-untyped-call]
        return levels

    def weight_levels(self) -> Tensor:
        """Odd integers (c_out, c_in, k, k)."""
        levels: Tensor = _OddInteger.apply(self.weight, self.bits)  # type: ignore[no-untyped-call]
        return levels


def bit_planes(levels: Tensor, *, bits: int) -> Tensor:
    """Bits (bits, ..) uint8, low ones first, of odd integers (..) from 1 - 2^bits to 2^bits - 1.

    >>> bit_planes(torch.tensor([-3.0, -1.0, 1.0, 3.0]), bits=2).tolist()
    [[0, 1, 0, 1], [0, 0, 1, 1]]
    """
    code = ((levels + (2**bits - 1)) / 2).to(torch.uint8)
    return torch.stack([code >> place & 1 for place in range(bits)])


def bit_sliced(product: Callable[[Tensor], Tensor], *, bits: int) -> Callable[[Tensor], Tensor]:
    """The product of a layer of several bits, from one of signs (n, c_in, h, w) that gives all weight planes.

    That one returns (n, bits c_out, h, w); each plane of the inputs is a call.
    """
    if bits == 1:
        return product

    def sliced(levels: Tensor) -> Tensor:
        total: Tensor | float = 0.0
        for place, plane in enumerate(bit_planes(levels, bits=bits)):
            dots = _apart(product(2.0 * plane - 1), 1, bits)
            total = total + 2**place * torch.einsum("p,np...->n...", _powers(bits), dots)
        assert isinstance(total, Tensor)
        return total

    return sliced


def _apart(values: Tensor, axis: int, bits: int) -> Tensor:
    """Planes that lie one behind the other along an axis, on an axis of their own."""
    apart: Tensor = values.reshape(*values.shape[:axis], bits, -1, *values.shape[axis + 1 :])
    return apart


def _powers(bits: int) -> Tensor:
    return torch.tensor([2.0**place for place in range(bits)])


def binary_layers(network: nn.Module) -> dict[str, BinaryConv2d]:
    """The binary layers of a network by their dotted names, in the order of definition."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, BinaryConv2d)}


class _ActivationSign(torch.autograd.Function):
    """Sign whose gradient is that of a piecewise parabola: 2 - 2|x| inside [-1, 1], else 0.

    "ApproxSign" of Liu et al., "Bi-Real Net", ECCV 2018.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return signs_of(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        values: Tensor = ctx.saved_tensors[0]
        return grads[0] * (2 - 2 * values.abs()).clamp_(min=0)


class _WeightSign(torch.autograd.Function):
    """Sign with the straight-through gradient of Courbariaux et al., arXiv 1602.02830."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor) -> Tensor:
        return signs_of(latent)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class _OddInteger(torch.autograd.Function):
    """2^bits odd integers of values from -1 to 1, with the straight-through gradient inside."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, bits: int) -> Tensor:
        ctx.save_for_backward(values)
        ctx.steps = 2**bits
        return (2 * torch.floor(values * (ctx.steps / 2)) + 1).clamp_(1 - ctx.steps, ctx.steps - 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        values: Tensor = ctx.saved_tensors[0]
        return grads[0] * (values.abs() <= 1) * ctx.steps, None
