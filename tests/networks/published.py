"""Public one-bit networks, built anew from their published descriptions, at small widths and with random weights.

Each binary layer binarises in the way of its authors and says by `integers(x)` what the integer sums of its product
are, in double precision and by zeros around the image: what any other way of computing it is held against.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional


def two_valued(values: Tensor) -> Tensor:
    """-1 and +1, with a straight-through gradient left in the forward pass: off by rounding."""
    soft = values.clamp(-1, 1)
    return torch.where(values < 0, -1.0, 1.0).to(values.dtype).detach() - soft.detach() + soft


class OneBitConv2d(nn.Conv2d):
    """What the convolutions below share: signs of inputs and of latent weights."""

    def latent(self) -> Tensor:
        return self.weight

    def integers(self, values: Tensor) -> Tensor:
        bits, kernel = (torch.where(each >= 0, 1.0, -1.0).double() for each in (values, self.latent()))
        return functional.conv2d(bits, kernel, None, self.stride, self.padding, self.dilation, self.groups)


class IrConv2d(OneBitConv2d):
    """Qin et al., "Forward and Backward Information Retention", CVPR 2020: balanced, standardised weights, signs times
    a power of two."""

    def latent(self) -> Tensor:
        return self.weight - self.weight.flatten(1).mean(1).view(-1, 1, 1, 1)

    def forward(self, values: Tensor) -> Tensor:
        weight = self.latent()
        weight = weight / weight.flatten(1).std(1).view(-1, 1, 1, 1)
        mean = weight.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
        scale = torch.pow(2.0, (mean.log() / torch.log(torch.tensor(2.0))).round())
        return functional.conv2d(torch.sign(values), torch.sign(weight) * scale, self.bias, self.stride, self.padding)


class RecuConv2d(OneBitConv2d):
    """Xu et al., "ReCU: Reviving the Dead Weights", ICCV 2021: weights clamped between quantiles, signs, and a learnt
    factor on the output."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.alpha = nn.Parameter(torch.rand(self.out_channels, 1, 1) + 0.5)

    def latent(self) -> Tensor:
        return self.weight - self.weight.flatten(1).mean(1).view(-1, 1, 1, 1)

    def forward(self, values: Tensor) -> Tensor:
        weight = self.latent()
        low, high = torch.quantile(weight.detach().flatten(), torch.tensor([0.01, 0.99]))
        clamped = weight.clamp(float(low), float(high))
        out = functional.conv2d(two_valued(values), torch.sign(clamped), self.bias, self.stride, self.padding)
        return out * self.alpha


class MeanConv2d(OneBitConv2d):
    """Liu et al., "Bi-Real Net", ECCV 2018, and ReActNet, ECCV 2020: signs times each filter's mean, straight through.
    Signs of the inputs are a layer of their own."""

    def forward(self, values: Tensor) -> Tensor:
        scale = self.weight.abs().mean((1, 2, 3), keepdim=True).detach()
        hard, soft = scale * torch.sign(self.weight), self.weight.clamp(-1, 1)
        return functional.conv2d(
            values, hard.detach() - soft.detach() + soft, None, self.stride, self.padding, groups=self.groups
        )


class OneBitLinear(nn.Linear):
    """Courbariaux et al., "Binarized Neural Networks", 2016, as the PyTorch port does it: in the layer, in place."""

    def forward(self, values: Tensor) -> Tensor:
        self.weight.data = torch.where(self.weight.data >= 0, 1.0, -1.0).to(values.dtype)
        return functional.linear(torch.where(values >= 0, 1.0, -1.0).to(values.dtype), self.weight, self.bias)

    def integers(self, values: Tensor) -> Tensor:
        bits, weight = (torch.where(each >= 0, 1.0, -1.0).double() for each in (values, self.weight))
        return bits @ weight.T


class Sign(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return two_valued(values)


# -- IR-Net's and ReCU's networks for CIFAR ---------------------------------------------------------------------------


class Block20(nn.Module):
    """Two convolutions, each with its shortcut: every second pixel, and zero channels where there are more."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = IrConv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = IrConv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        short = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more))
        x = functional.hardtanh(self.norm1(self.conv1(x)) + short)
        return functional.hardtanh(self.norm2(self.conv2(x)) + x)


def ir_resnet20(width: int = 4, classes: int = 10, channels: int = 3) -> nn.Module:
    widths = [width, width, width, width, 2 * width, 2 * width, 2 * width, 4 * width, 4 * width, 4 * width]
    blocks = [Block20(before, after, 2 if after > before else 1) for before, after in itertools.pairwise(widths)]
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.Hardtanh(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4 * width), nn.Linear(4 * width, classes),
    )  # fmt: skip


def vgg_small(convolution: type[OneBitConv2d], width: int = 8, classes: int = 10, side: int = 32) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.Hardtanh()]
    widths = [width, width, 2 * width, 2 * width, 4 * width, 4 * width]
    for place, (before, after) in enumerate(itertools.pairwise(widths)):
        pool = [nn.MaxPool2d(2)] if place % 2 == 0 else []
        layers += [
            convolution(before, after, 3, 1, 1, bias=False),
            *pool,
            nn.BatchNorm2d(after),
            nn.Hardtanh(),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * (side // 8) ** 2, classes))


# -- ImageNet's -------------------------------------------------------------------------------------------------------


class BiRealBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.sign = Sign()
        self.conv, self.norm = MeanConv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.down = nn.Identity()
        if stride > 1:
            self.down = nn.Sequential(
                nn.AvgPool2d(2, stride), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.sign(x))) + self.down(x)


def bireal(depths: tuple[int, ...] = (4, 4, 4, 4), width: int = 4, classes: int = 12) -> nn.Module:
    """Of 18 layers; with depths 6, 8, 12 and 6 of 34."""
    blocks, before = [], width
    for stage, depth in enumerate(depths):
        after = width << stage
        blocks += [
            BiRealBlock(before, after, 2 if stage else 1),
            *(BiRealBlock(after, after, 1) for _ in range(depth - 1)),
        ]
        before = after
    return nn.Sequential(
        nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.MaxPool2d(3, 2, 1), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes),
    )  # fmt: skip


class Shift(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(0.1 * torch.randn(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class ReactBlock(nn.Module):
    """Shift, sign, 3 x 3, norm, shortcut, RPReLU; the same with 1 x 1, twice side by side where channels double."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shift1, self.sign = Shift(inputs), Sign()
        self.conv3 = MeanConv2d(inputs, inputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inputs)
        self.pool = nn.AvgPool2d(2, 2) if stride == 2 else nn.Identity()
        self.act1 = nn.Sequential(Shift(inputs), nn.PReLU(inputs), Shift(inputs))
        self.shift2 = Shift(inputs)
        self.points = nn.ModuleList(MeanConv2d(inputs, inputs, 1, bias=False) for _ in range(outputs // inputs))
        self.norms = nn.ModuleList(nn.BatchNorm2d(inputs) for _ in self.points)
        self.act2 = nn.Sequential(Shift(outputs), nn.PReLU(outputs), Shift(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.norm1(self.conv3(self.sign(self.shift1(x)))) + self.pool(x))
        signs = self.sign(self.shift2(x))
        parts = [norm(conv(signs)) + x for conv, norm in zip(self.points, self.norms, strict=True)]
        return self.act2(torch.cat(parts, 1))


def reactnet_a(width: int = 2, classes: int = 12) -> nn.Module:
    sizes = [1, 2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    blocks = [
        ReactBlock(width * before, width * after, stride)
        for before, after, stride in zip(sizes[:-1], sizes[1:], strides, strict=True)
    ]
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32 * width, classes),
    )  # fmt: skip


# -- XNOR-Net's network in network, BNN's and FINN's -----------------------------------------------------------------


class XnorConv2d(OneBitConv2d):
    """Rastegari et al., ECCV 2016: weights are replaced by signs times means before evaluation; zeros around."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, 1, padding)
        self.weight.data = self.weight.data.sign() * self.weight.data.abs().mean((1, 2, 3), keepdim=True)


def xnor_nin(width: int = 8, classes: int = 10) -> nn.Module:
    def layer(inputs: int, outputs: int, kernel: int, padding: int = 0) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(inputs), Sign(), XnorConv2d(inputs, outputs, kernel, padding), nn.ReLU())

    w = width
    return nn.Sequential(
        nn.Conv2d(3, 2 * w, 5, 1, 2), nn.BatchNorm2d(2 * w), nn.ReLU(), layer(2 * w, w, 1), layer(w, w, 1),
        nn.MaxPool2d(3, 2, 1), layer(w, 2 * w, 5, 2), layer(2 * w, 2 * w, 1), layer(2 * w, 2 * w, 1),
        nn.AvgPool2d(3, 2, 1), layer(2 * w, 2 * w, 3, 1), layer(2 * w, 2 * w, 1), nn.BatchNorm2d(2 * w),
        nn.Conv2d(2 * w, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


class PlainConv2d(OneBitConv2d):
    """FINN: signs in, signs as weights, nothing around the image."""

    def forward(self, values: Tensor) -> Tensor:
        return functional.conv2d(values, torch.where(self.weight >= 0, 1.0, -1.0).to(values.dtype), None, self.stride)


def finn_cnv(width: int = 4, classes: int = 10) -> nn.Module:
    """Umuroglu et al., "FINN", FPGA 2017: 3 x 3 without padding, pooled twice; three linear layers."""
    layers: list[nn.Module] = []
    before = 3
    for place, factor in enumerate((1, 1, 2, 2, 4, 4)):
        layers += [PlainConv2d(before, factor * width, 3, bias=False), nn.BatchNorm2d(factor * width), Sign()]
        layers += [nn.MaxPool2d(2)] if place in (1, 3) else []
        before = factor * width
    for inputs, outputs in ((before, 8 * width), (8 * width, 8 * width)):
        layers += [nn.Flatten(), OneBitLinear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), Sign()]
    return nn.Sequential(*layers, OneBitLinear(8 * width, classes, bias=False), nn.BatchNorm1d(classes))


def finn_lfc(width: int = 32, classes: int = 10) -> nn.Module:
    """784 binarised pixels and three hidden layers, all of them binary."""
    sizes = [784, width, width, width]
    hidden: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        hidden += [OneBitLinear(before, after, bias=False), nn.BatchNorm1d(after), Sign()]
    return nn.Sequential(nn.Flatten(), *hidden, OneBitLinear(width, classes, bias=False), nn.BatchNorm1d(classes))


def settled(network: nn.Module, images: Tensor) -> nn.Module:
    """With norms that have seen images, some gains negative, one variance 0: in evaluation mode."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.weight.data.uniform_(0.5, 1.5).mul_(torch.where(torch.rand_like(norm.weight) < 0.2, -1, 1))
        norm.bias.data.normal_(0, 0.3)
    with torch.no_grad():
        network.train()(images)
    norms[0].running_var[0] = 0
    return network.eval()
