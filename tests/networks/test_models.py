"""Both architectures: shapes, names, and what is binary."""

from typing import get_args

import pytest
import torch
from torch import nn

from spicekit.networks.layers import BinaryConv2d, binary_layers
from spicekit.networks.models import Architecture, NetworkName, build


def test_vgg_small_has_five_binary_convolutions_and_one_classifier():
    network = build(Architecture(name="vgg-small"))
    layers = binary_layers(network)
    assert list(layers) == ["conv2", "conv3", "conv4", "conv5", "conv6"]
    assert [network.conv1.out_channels, *(layer.out_channels for layer in layers.values())] == [
        128, 128, 256, 256, 512, 512,
    ]  # fmt: skip
    assert [type(m) for m in network.modules()].count(nn.Linear) == 1


def test_resnet18_has_sixteen_binary_convolutions_from_64_to_512_channels():
    layers = binary_layers(build(Architecture(name="resnet18")))
    assert list(layers) == [
        f"layer{stage}.{block}.conv{number}" for stage in (1, 2, 3, 4) for block in (0, 1) for number in (1, 2)
    ]
    assert [layer.out_channels for layer in layers.values()] == [64] * 4 + [128] * 4 + [256] * 4 + [512] * 4
    assert [layer.geometry.stride[0] for layer in layers.values()] == [1] * 4 + ([2] + [1] * 3) * 3


def test_resnet18_hides_no_product_in_its_shortcuts():
    digital = [
        module
        for module in build(Architecture(name="resnet18")).modules()
        if next(module.parameters(recurse=False), None) is not None
        and not isinstance(module, BinaryConv2d | nn.BatchNorm2d)
    ]
    assert [type(module) for module in digital] == [nn.Conv2d, nn.Linear]


def test_a_shortcut_averages_down_and_repeats_the_channels():
    block = build(Architecture(name="resnet18", width=1 / 16)).layer2[0].eval()
    for norm in (block.norm1, block.norm2):
        nn.init.zeros_(norm.weight)  # silences the convolutions
    x = torch.arange(4 * 4 * 4.0).reshape(1, 4, 4, 4)
    mean = nn.functional.avg_pool2d(x, 2)
    assert torch.equal(block(x), torch.cat([mean, mean], dim=1))


@pytest.mark.parametrize("name", get_args(NetworkName))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [0.12, 1 / 16])
def test_any_width_and_both_kinds_of_image_give_logits(name, channels, width):
    network = build(Architecture(name=name, classes=7, channels=channels, width=width)).eval()
    assert network(torch.rand(2, channels, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_every_parameter_learns(name):
    network = build(Architecture(name=name, width=1 / 16))
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_network_normalises_its_inputs_itself():
    network = build(Architecture(name="vgg-small", width=1 / 16)).eval()
    pixels = torch.rand(8, 3, 32, 32)
    network.normalise.fit(pixels)
    inside = network.normalise(pixels)
    assert inside.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (inside.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-5
