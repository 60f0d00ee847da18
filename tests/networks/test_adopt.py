"""A user's own network: taken in if it is binary, refused with the layer's name if it is not."""

import pytest
import torch
from torch import nn

from spicekit.errors import BadInput
from spicekit.networks.adopt import adopt, check_binary
from spicekit.networks.card import Architecture
from spicekit.networks.layers import BinaryConv2d, binary_layers, signs_of
from spicekit.networks.models import build


class Sign(nn.Module):
    def forward(self, x):
        return signs_of(x)


def own(*, scale=1.0, bias=False, sign=True):
    """An ordinary network whose second convolution has the weights -scale and +scale."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        Sign() if sign else nn.Identity(),
        nn.ConstantPad2d(1, -1.0),
        nn.Conv2d(6, 8, 3, bias=bias),
        nn.Flatten(),
        nn.LazyLinear(4),
    )
    network(IMAGES)
    network[3].weight.data = signs_of(network[3].weight.data) * scale
    return network.eval()


IMAGES = torch.rand(5, 3, 8, 8)


def test_signs_become_the_projects_layer_with_the_same_logits():
    network = own()
    adopted = adopt(network, IMAGES, binary=["3"])
    assert list(binary_layers(adopted)) == ["3"]
    assert torch.equal(adopted(IMAGES), network(IMAGES))
    assert isinstance(network[3], nn.Conv2d), "the user's network is left alone"


def test_scales_and_bias_stay_digital():
    network = own(scale=torch.rand(8, 1, 1, 1) + 0.1, bias=True)
    adopted = adopt(network, IMAGES, binary=["3"])
    assert list(binary_layers(adopted)) == ["3.binary"]
    torch.testing.assert_close(adopted(IMAGES), network(IMAGES))


def test_a_network_of_the_projects_layers_is_taken_as_it_is():
    network = build(Architecture(name="vgg-small", width=1 / 16)).eval()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(adopt(network, images)(images), network(images))


def _changed(change):
    network = own()
    change(network)
    return network


@pytest.mark.parametrize(
    ("network", "binary", "message"),
    [
        (own(), ["7"], "no layer '7'"),
        (own(), ["5"], "layer 5 is a Linear"),
        (own(), ["0"], r"layer 0 is not binary: 1\d\d of 162 weights"),
        (own(sign=False), ["3"], "layer 3 gets inputs other than -1 and \\+1"),
        (_changed(lambda n: n[3].weight.data[0, 0, 0].zero_()), ["3"], "layer 3 is not binary: 3 of 432"),
        (_changed(lambda n: setattr(n[3], "padding", (1, 1))), ["3"], "layer 3 pads with zeros"),
        (_changed(lambda n: setattr(n[3], "dilation", (2, 2))), ["3"], "layer 3 must have a square kernel"),
        (own(), [], "has no BinaryConv2d"),
    ],
)
def test_what_is_not_binary_is_refused_by_name(network, binary, message):
    with pytest.raises(BadInput, match=message):
        adopt(network, IMAGES, binary=binary)


def test_a_layer_whose_values_change_is_named():
    class Forgetful(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) + 1

    network = own()
    other = Forgetful(6, 8, 3, bias=False)
    other.weight.data = network[3].weight.data
    network[3] = other
    with pytest.raises(BadInput, match="layer 3 gives other values"):
        adopt(network, IMAGES, binary=["3"])


def test_weights_that_are_not_finite_are_named():
    network = nn.Sequential(BinaryConv2d(1, 1))
    network[0].weight.data.fill_(torch.nan)
    with pytest.raises(BadInput, match="layer 0 has weights that are not finite"):
        check_binary(network)
