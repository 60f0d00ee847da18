"""The layer that runs on tiles: a convolution whose weights and inputs are signs, -1 or +1.

Signs and bits are two encodings of the same thing, `bit = (sign + 1) / 2`, and sign(0) = +1. Padding is -1
(bit 0) always, so that an array of cells, which knows no third value, computes exactly this layer. Scales
live in the batch norm that follows: the layer's output is an integer.
"""

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
        return self.product(_ActivationSign.apply(values))  # type: ignore[no-untyped-call]

    def product(self, signs: Tensor) -> Tensor:
        """Integer dot products (n, c_out, h_out, w_out) float32 of signs (n, c_in, h, w)."""
        weights = _WeightSign.apply(self.weight)  # type: ignore[no-untyped-call]
        padded = functional.pad(signs, (self.padding,) * 4, value=-1.0)
        dots = functional.conv2d(padded, weights, stride=self.stride)
        # Fast convolution algorithms (Winograd) work with fractions; the true result is an integer.
        return dots if self.training else dots.round()

    def weight_bits(self) -> Tensor:
        """Weights as stored in cells: (c_out, c_in, k, k) uint8, 1 for +1 and 0 for -1."""
        return (self.weight.detach() >= 0).to(torch.uint8)

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
