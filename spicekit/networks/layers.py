"""The layers that run on tiles: linear operators whose weights and inputs are signs, -1 or +1.

Signs and bits are two encodings of the same thing, `bit = (sign + 1) / 2`, and sign(0) = +1. Padding is -1
(bit 0), or 0 by way of a constant that digital logic adds: an array of cells, which knows no third value, computes
exactly these layers. Scales live in what follows: a layer's output is an integer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spicekit.errors import BadInput
from spicekit.networks.geometry import Geometry


def signs_of(values: Tensor) -> Tensor:
    """-1 where a value is negative, else +1: a tensor of the same shape and type.

    >>> signs_of(torch.tensor([-0.5, 0.0, 2.0])).tolist()
    [-1.0, 1.0, 1.0]
    """
    return torch.sign(values).add_(0.5).sign_()  # 0 becomes 0.5, then +1; quicker than comparing and choosing


class BinaryConv(nn.Module):
    """A convolution of signs with signs over any number of axes, none at all included: no bias, no scale.

    The weights are latent floats while training; the forward pass takes their signs. Inputs (n, c_in, *sides)
    of any real value are binarised on entry. The output (n, c_out, *sides) float32 holds dot products:
    integers between -c_in k and +c_in k for a kernel of k places, exact in evaluation mode.

    Tiles, which know bits alone, compute it from `weight_bits` and `input_planes`, one plane of the inputs at a time;
    `combine` makes the layer's result of what they give.

    Parameters
    ----------
    geometry : Geometry
        Channels, kernel, stride, dilation, padding.
    out_channels : int
        c_out.
    zero_padded : bool
        Padding counts as 0 in place of -1. The cells compute the same, since a row that pads is not asserted either
        way; what -1 adds there, the sum of the weights outside the image, is a constant for each output channel and
        each of a few kinds of border pixels, which digital logic takes off again.
    """

    bits = 1
    """Of a weight and of an input."""

    places: tuple[float, ...] = (1.0,)
    """What a one in each bit plane of a weight stands for."""

    padding_level = -1.0
    """What is put around the image: all bits 0."""

    def __init__(self, geometry: Geometry, out_channels: int, *, zero_padded: bool = False) -> None:
        super().__init__()
        self.geometry = geometry
        self.out_channels = out_channels
        self.zero_padded = zero_padded
        self.weight = nn.Parameter(torch.empty(out_channels, geometry.in_channels, *geometry.kernel))
        nn.init.kaiming_normal_(self.weight)

    @property
    def in_channels(self) -> int:
        """c_in."""
        return self.geometry.in_channels

    def forward(self, values: Tensor) -> Tensor:
        """Dot products (n, c_out, *sides) of the signs of `values` (n, c_in, *sides)."""
        return self.dots(values)

    def dots(self, values: Tensor) -> Tensor:
        """What `forward` gives, wherever it is computed: a network may have stored that method before."""
        return self.product(self.input_levels(values))

    def input_levels(self, values: Tensor) -> Tensor:
        """What the layer makes of real inputs of any shape: signs."""
        signs: Tensor = _ActivationSign.apply(values)  # type: ignore[no-untyped-call]
        return signs

    def weight_levels(self) -> Tensor:
        """What the layer makes of its latent weights: signs (c_out, c_in, *kernel)."""
        signs: Tensor = _WeightSign.apply(self.weight)  # type: ignore[no-untyped-call]
        return signs

    def product(self, signs: Tensor) -> Tensor:
        """Integer dot products (n, c_out, *sides) float32 of signs (n, c_in, *sides)."""
        dots = self.convolve(signs, self.weight_levels(), level=self.padding_level)
        # Fast convolution algorithms (Winograd) work with fractions; the true result is an integer.
        dots = dots if self.training else dots.round()
        return dots + self.border(signs) if self.zero_padded else dots

    def border(self, signs: Tensor) -> Tensor:
        """What zero padding adds to padding with -1: (1, c_out, *sides), of inputs (n, c_in, *sides).

        The sum of the weights that lie outside the image.
        """
        sums = self.convolve(torch.zeros_like(signs[:1, :1]), self.weight_levels().sum(dim=1, keepdim=True), level=1.0)
        return sums if self.training else sums.round()

    def convolve(self, values: Tensor, weight: Tensor, *, level: float) -> Tensor:
        """(n, c_out, *sides) of any values (n, c, *sides) and weights (c_out, c, *kernel), `level` where none are."""
        g = self.geometry
        if not g.kernel:
            with torch._C.DisableTorchFunction():  # whoever looks for products knows these
                return functional.linear(values, weight)
        if any(apart > 1 for apart in g.spread):
            sides = ((side - 1) * apart + 1 for side, apart in zip(values.shape[2:], g.spread, strict=True))
            wide = values.new_full((*values.shape[:2], *sides), level)
            steps = tuple(slice(None, None, apart) for apart in g.spread)
            wide[:, :, *steps] = values
            values = wide
        pads = [side for pair in reversed(g.padding) for side in pair]
        padded = functional.pad(values, pads, value=level) if any(pads) else values
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(g.kernel) - 1]
        with torch._C.DisableTorchFunction():
            return convolve(padded, weight, stride=g.stride, dilation=g.dilation)

    @torch.no_grad()
    def weight_bits(self) -> Tensor:
        """Weights as stored in cells: (bits c_out, c_in, *kernel) uint8; of signs, 1 for +1 and 0 for -1."""
        return (self.weight_levels() > 0).to(torch.uint8)

    @torch.no_grad()
    def input_planes(self, values: Tensor) -> Tensor:
        """Bits of real inputs (n, c_in, *sides) for word lines: (bits, n, c_in, *sides), low ones first."""
        return (values >= 0)[None]

    @torch.no_grad()
    def combine(self, dots: list[Tensor], planes: Tensor) -> Tensor:
        """The layer's result (n, c_out, *sides), of what signs give for each of its `input_planes`.

        That is (n, bits c_out, *sides): dot products of signs, -1 for a bit of 0, with all planes of the weights.
        """
        return dots[0] + self.border(planes[0].float()) if self.zero_padded else dots[0]

    @torch.no_grad()
    def set_weight_bits(self, planes: Tensor) -> None:
        """Latent weights that the bits (bits c_out, c_in, *kernel) stand for."""
        self.weight.copy_(2.0 * planes - 1)

    @torch.no_grad()
    def clip_latent(self) -> None:
        """Keep the latent weights in [-1, 1], so that a weight which grew can still flip back."""
        self.weight.clamp_(-1.0, 1.0)

    def extra_repr(self) -> str:
        """What `print(network)` shows."""
        return f"{self.geometry.text(self.out_channels)}{', zero padded' * self.zero_padded}"


class BinaryConv2d(BinaryConv):
    """A convolution of images (n, c_in, h, w), padded with -1.

    >>> BinaryConv2d(3, 8, stride=2)(torch.ones(1, 3, 6, 6)).shape
    torch.Size([1, 8, 3, 3])

    Parameters
    ----------
    in_channels, out_channels : int
        c_in and c_out.
    kernel_size, stride, padding, dilation : int or two
        Of the kernel's sides; its step; rows and columns put around the image; distance of what it looks at.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
    ) -> None:
        kernel, step, pads, apart = (
            (each, each) if isinstance(each, int) else tuple(each) for each in (kernel_size, stride, padding, dilation)
        )
        geometry = Geometry(in_channels, kernel, step, apart, tuple((pad, pad) for pad in pads), (1, 1))
        super().__init__(geometry, out_channels)


class BinaryLinear(BinaryConv):
    """A fully connected layer: signs (.., c_in) to dot products (.., c_out).

    >>> BinaryLinear(5, 2)(torch.randn(4, 5)).shape
    torch.Size([4, 2])
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(Geometry(in_features), out_features)

    def forward(self, values: Tensor) -> Tensor:
        """Dot products (.., c_out) of the signs of `values` (.., c_in)."""
        return super().forward(values.reshape(-1, self.in_channels)).reshape(*values.shape[:-1], self.out_channels)

    def input_planes(self, values: Tensor) -> Tensor:
        """Bits (1, n, c_in) of inputs (.., c_in)."""
        return super().input_planes(values.reshape(-1, self.in_channels))


_PLACES = (1.0, 2.0, 4.0, -8.0)
"""What each bit of a weight in two's complement stands for."""


class MultiBitConv2d(BinaryConv2d):
    """A convolution of four-bit weights with four-bit inputs, for comparison: the sum of 16 layers of bits.

    Inputs pass a ReLU and are unsigned, x = sum(2^q a_q) from 0 to 15; weights are in two's complement,
    w = u_0 + 2 u_1 + 4 u_2 - 8 u_3 from -8 to 7. The dot product of vectors of both is the sum of v_p 2^q sum(u_p a_q),
    v = 1, 2, 4, -8: bit-sliced, it runs on the tiles of a binary layer. Padding is 0, all bits 0.

    Signed weights and inputs that are mostly small or zero are what networks of a few bits have; their planes are
    sparse where they count most (docs/decisions/four-bits.md).

    Both are quantised uniformly, as loses least of a normal variable (Max, "Quantizing for minimum distortion", IRE
    Trans. Inf. Theory 6, 1960): weights with the step of 16 levels, inputs with that of the upper half of 32. Batch
    norm makes both scales free.
    """

    bits = 4
    places = _PLACES
    padding_level = 0.0

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size=kernel_size, stride=stride, padding=padding)
        nn.init.normal_(self.weight, std=1 / (8 * STEP_OF_16))

    def input_levels(self, values: Tensor) -> Tensor:
        """Integers from 0 to 15 of real inputs of any shape."""
        levels: Tensor = _Integer.apply(values / STEP_OF_32, 0, 15)  # type: ignore[no-untyped-call]
        return levels

    def weight_levels(self) -> Tensor:
        """Integers from -8 to 7 (c_out, c_in, *kernel)."""
        levels: Tensor = _Integer.apply(8 * self.weight, -8, 7)  # type: ignore[no-untyped-call]
        return levels

    @torch.no_grad()
    def weight_bits(self) -> Tensor:
        """Weights as stored in cells: (4 c_out, c_in, *kernel) uint8, low planes first."""
        return bit_planes(self.weight_levels()).flatten(0, 1)

    @torch.no_grad()
    def input_planes(self, values: Tensor) -> Tensor:
        """Bits (4, n, c_in, h, w) uint8 of real inputs, low ones first."""
        return bit_planes(self.input_levels(values))

    @torch.no_grad()
    def combine(self, dots: list[Tensor], planes: Tensor) -> Tensor:
        """With signs s = 2 u - 1, the common ones of two vectors are sum(u a) = (dot + 2 sum(u) + 2 sum(a) - n) / 4."""
        bits = self.weight_bits()
        inputs = bits[0].numel()
        weight_ones = bits.flatten(1).sum(1).reshape(-1, *(1,) * len(self.geometry.kernel))
        total = torch.tensor(0.0, device=planes.device)
        for place, (plane, dot) in enumerate(zip(planes, dots, strict=True)):
            window = plane.float().sum(dim=1, keepdim=True)
            ones = self.convolve(window, torch.ones_like(bits[:1, :1], dtype=dot.dtype), level=0.0)
            common = (dot + 2 * weight_ones + 2 * ones.round() - inputs) / 4
            total = total + 2**place * _weighed(common, axis=1)
        return total

    @torch.no_grad()
    def set_weight_bits(self, planes: Tensor) -> None:
        """Latent weights that the bits (4 c_out, c_in, *kernel) stand for."""
        self.weight.copy_(_weighed(planes.float(), axis=0) / 8)

    @torch.no_grad()
    def clip_latent(self) -> None:
        """Keep the latent weights where they have levels, -8 / 8 to 7 / 8."""
        self.weight.clamp_(-1.0, 7 / 8)


# In standard deviations, of 16 and of 32 levels: Max's table I.
STEP_OF_16, STEP_OF_32 = 0.3352, 0.1881


def bit_planes(levels: Tensor) -> Tensor:
    """Bits (4, ..) uint8, low ones first, of integers (..): unsigned up to 15, or from -8 to 7 in two's complement.

    >>> bit_planes(torch.tensor([5.0, 7.0, -1.0, -8.0])).tolist()
    [[1, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 1]]
    """
    code = levels.to(torch.int16)
    return torch.stack([code >> place & 1 for place in range(len(_PLACES))]).to(torch.uint8)


def _weighed(planes: Tensor, *, axis: int) -> Tensor:
    """Sum of weight planes that lie one behind the other along an axis, each times what its bits stand for."""
    planes_apart = planes.movedim(axis, 0).reshape(len(_PLACES), -1, *planes.movedim(axis, 0).shape[1:])
    places = torch.tensor(_PLACES, device=planes.device)
    return torch.einsum("p,p...->...", places, planes_apart).movedim(0, axis)


def binary_layers(network: nn.Module) -> dict[str, BinaryConv]:
    """The binary layers of a network by their dotted names, in the order of definition.

    Raises
    ------
    BadInput
        If it is no network.
    """
    if not isinstance(network, nn.Module):
        raise BadInput(
            f"expected a network, a torch.nn.Module, got {type(network).__name__}; load_network gives one by its name."
        )
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, BinaryConv)}


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


class _Integer(torch.autograd.Function):
    """The nearest integer within bounds, with the straight-through gradient inside them."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, lowest: int, highest: int) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bounds = lowest, highest
        return values.round().clamp_(lowest, highest)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        values: Tensor = ctx.saved_tensors[0]
        lowest, highest = ctx.bounds
        return grads[0] * ((values >= lowest) & (values <= highest)), None, None
