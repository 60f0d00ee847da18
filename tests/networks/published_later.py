"""More public one-bit networks, of 2019 and 2020, from their published descriptions: see `published`."""

import torch
from published import OneBitConv2d, PlainConv2d, Sign, two_valued
from torch import Tensor, nn
from torch.nn import functional


class SignConv2d(OneBitConv2d):
    """Signs of latent weights, which are clipped to [-1, 1] while they learn."""

    def forward(self, values: Tensor) -> Tensor:
        return self._conv_forward(values, two_valued(self.weight), self.bias)


class DenseLayer(nn.Module):
    """Norm, sign, 3 x 3; what comes out is put beside what came in."""

    def __init__(self, inputs: int, growth: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm, self.sign = nn.BatchNorm2d(inputs), Sign()
        self.conv = SignConv2d(inputs, growth, 3, 1, dilation, dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.sign(self.norm(x)))], dim=1)


def binary_densenet(width: int = 8, growth: int = 4, classes: int = 10) -> nn.Module:
    """Bethge et al., "Back to Simplicity", 2019: dense layers, transitions in full precision, dilated at the end."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    for dilation in (1, 1, 2):
        layers += [DenseLayer(width + place * growth, growth, dilation) for place in range(3)]
        width += 3 * growth
        pool = [nn.MaxPool2d(2)] if dilation == 1 else []
        layers += [nn.BatchNorm2d(width), *pool, nn.ReLU(), nn.Conv2d(width, width // 2, 1, bias=False)]
        width //= 2
    return nn.Sequential(
        *layers, nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, classes),
    )  # fmt: skip


class Improvement(nn.Module):
    """What the last dense layer has put beside is improved: a product is added to it."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm, self.sign = nn.BatchNorm2d(channels), Sign()
        self.conv, self.growth = SignConv2d(channels, growth, 3, 1, 1, bias=False), growth

    def forward(self, x: Tensor) -> Tensor:
        kept, last = x[:, : -self.growth], x[:, -self.growth :]
        return torch.cat([kept, last + self.conv(self.sign(self.norm(x)))], dim=1)


def meliusnet(width: int = 8, growth: int = 4, classes: int = 10) -> nn.Module:
    """Bethge et al., "MeliusNet", 2020: a stem of grouped convolutions, then dense and improvement layers in turn."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, 1, 1, groups=4, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
    ]  # fmt: skip
    for _ in range(2):
        for _ in range(2):
            layers += [DenseLayer(width, growth), Improvement(width + growth, growth)]
            width += growth
        layers += [
            nn.BatchNorm2d(width),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(width, width // 2, 1, groups=2),
        ]
        width //= 2
    return nn.Sequential(
        *layers, nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, classes),
    )  # fmt: skip


class XnorPlusConv2d(OneBitConv2d):
    """Bulat and Tzimiropoulos, "XNOR-Net++", BMVC 2019: learnt scales for channels, lines and columns of the output,
    multiplied."""

    def __init__(self, inputs: int, outputs: int, stride: int, side: int) -> None:
        super().__init__(inputs, outputs, 3, stride, 1, bias=False)
        self.alpha = nn.Parameter(torch.rand(outputs, 1, 1) + 0.5)
        self.beta = nn.Parameter(torch.rand(1, side, 1) + 0.5)
        self.gamma = nn.Parameter(torch.rand(1, 1, side) + 0.5)

    def forward(self, values: Tensor) -> Tensor:
        out = functional.conv2d(torch.sign(values), torch.sign(self.weight), None, self.stride, self.padding)
        return out.mul(self.alpha * self.beta * self.gamma)


def xnor_plus(width: int = 8, classes: int = 10, side: int = 32) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False)]
    side //= 2
    for stride in (1, 2, 1, 2):
        side //= stride
        layers += [nn.BatchNorm2d(width), XnorPlusConv2d(width, width, stride, side), nn.PReLU(width)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class QuickBlock(nn.Module):
    """Sign, 3 x 3 padded with ones, ReLU, norm, shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = PlainConv2d(channels, channels, 3, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        signs = functional.pad(two_valued(x), (1, 1, 1, 1), value=1.0)
        return x + self.norm(functional.relu(self.conv(signs)))


def quicknet(width: int = 8, classes: int = 10) -> nn.Module:
    """Bannink et al., "Larq Compute Engine", MLSys 2021: residual blocks; strides in a blurring depthwise layer and a
    1 x 1 of full precision."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width // 2, 3, 2, 1, bias=False), nn.BatchNorm2d(width // 2), nn.ReLU(),
        nn.Conv2d(width // 2, width // 2, 3, 2, 1, groups=width // 2, bias=False), nn.BatchNorm2d(width // 2),
        nn.Conv2d(width // 2, width, 1, bias=False), nn.BatchNorm2d(width),
    ]  # fmt: skip
    for stage in range(2):
        layers += [QuickBlock(width) for _ in range(2)]
        if stage == 0:
            layers += [
                nn.ReLU(), nn.MaxPool2d(2, 1), nn.Conv2d(width, width, 3, 2, 1, groups=width, bias=False),
                nn.Conv2d(width, 2 * width, 1), nn.BatchNorm2d(2 * width),
            ]  # fmt: skip
            width *= 2
    return nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class RotatedConv2d(OneBitConv2d):
    """Lin et al., "Rotated Binary Neural Network", NeurIPS 2020: weights are turned by two rotations, part of the way,
    before their signs are taken; a learnt scale."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, 1, bias=False)
        self.register_buffer("left", torch.linalg.qr(torch.randn(inputs, inputs))[0])
        self.register_buffer("right", torch.linalg.qr(torch.randn(9, 9))[0])
        self.way = nn.Parameter(torch.tensor(0.7))
        self.alpha = nn.Parameter(torch.rand(outputs, 1, 1) + 0.5)

    def latent(self) -> Tensor:
        flat = self.weight.flatten(2)
        turned = self.left.T @ flat @ self.right
        return (flat + self.way.sin().abs() * (turned - flat)).view_as(self.weight)

    def forward(self, values: Tensor) -> Tensor:
        weight = two_valued(self.latent())
        return self.alpha * functional.conv2d(two_valued(values), weight, None, self.stride, self.padding)


def rbnn_resnet(width: int = 6, classes: int = 10) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.Hardtanh()]
    for stride in (1, 2, 2):
        layers += [RotatedConv2d(width, 2 * width, stride), nn.BatchNorm2d(2 * width), nn.Hardtanh()]
        width *= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class SeparableCell(nn.Module):
    """Bulat et al., "BATS", ECCV 2020: a cell of grouped and dilated binary convolutions, pooling and shortcuts, whose
    branches are added; then put side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(3))
        self.convs = nn.ModuleList(
            [
                SignConv2d(channels, channels, 3, 1, 1, groups=channels // 4, bias=False),
                SignConv2d(channels, channels, 5, 1, 4, 2, groups=2, bias=False),
                SignConv2d(channels, channels, (1, 3), 1, (0, 1), bias=False),
            ]
        )
        self.pool = nn.AvgPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = (conv(two_valued(norm(x))) for conv, norm in zip(self.convs, self.norms, strict=True))
        return torch.cat([a + x, b + self.pool(x) + c], dim=1)


def bats(width: int = 8, classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), SeparableCell(width),
        nn.MaxPool2d(2), SeparableCell(2 * width), nn.BatchNorm2d(4 * width), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4 * width, classes),
    )  # fmt: skip
