"""A user's own network: its binary layers are found by watching it; what cannot be taken is refused by name."""

import pickle
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.errors import BadInput
from spicekit.evaluation.tiled import Tiles, on_tiles, tiled_layers
from spicekit.networks.adopt import adopt, adopt_and_survey, check_binary
from spicekit.networks.layers import BinaryConv2d, binary_layers, signs_of
from spicekit.networks.models import Architecture, build

IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
SPEC = TileSpec(rows=32, rows_active=16, wires=Wires(r_bl=1, r_sl=1))
IDEAL = Tiles(SPEC, IdealCodes())


class Sign(nn.Module):
    def forward(self, x):
        return signs_of(x)


def own(*, scale=1.0, bias=False, sign=True, **options):
    """An ordinary network whose second convolution has the weights -scale and +scale."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), Sign() if sign else nn.Identity(), nn.Conv2d(6, 8, 3, bias=bias, **options),
        nn.Flatten(), nn.LazyLinear(4),
    )  # fmt: skip
    network(IMAGES)
    network[2].weight.data = signs_of(network[2].weight.data) * scale
    return network.eval()


def test_a_layer_of_signs_is_found_with_the_same_logits():
    network = own()
    adopted, survey = adopt_and_survey(network, IMAGES)
    assert list(binary_layers(adopted)) == ["2.binary"]
    assert torch.equal(adopted(IMAGES), network(IMAGES))
    assert isinstance(network[2], nn.Conv2d), "the user's network is left alone"
    rows = str(survey).split("\n")
    assert rows[0].startswith("0  ")
    assert "not of two values: they go from" in rows[0]
    assert rows[1].split() == ["2.binary", "6", "->", "8,", "3", "x", "3", "on", "tiles"]


def test_scales_and_bias_stay_digital_and_attributes_can_be_reached():
    network = own(scale=torch.rand(8, 1, 1, 1) + 0.1, bias=True, padding=1)
    adopted = adopt(network, IMAGES, binary=["2"])
    torch.testing.assert_close(adopted(IMAGES), network(IMAGES))
    assert adopted[2].padding == (1, 1)
    assert torch.equal(pickle.loads(pickle.dumps(adopted))(IMAGES), adopted(IMAGES))


def test_a_network_of_the_projects_layers_is_taken_as_it_is():
    network = build(Architecture(name="vgg-small", width=1 / 16)).eval()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(adopt(network, images)(images), network(images))


class Columns(nn.Linear):
    """A convolution by hand: weights first, times what `unfold` gives."""

    def forward(self, columns):
        return torch.matmul(self.weight, columns)


OPERATORS = {
    "zero padding": lambda: nn.Conv2d(6, 8, 3, padding=1, bias=False),
    "stride and 5 x 5": lambda: nn.Conv2d(6, 8, 5, stride=2, padding=2),
    "same, even kernel": lambda: nn.Conv2d(6, 8, 4, padding="same"),
    "circular": lambda: nn.Conv2d(6, 8, 3, padding=1, padding_mode="circular"),
    "reflect": lambda: nn.Conv2d(6, 8, 3, padding=(2, 1), padding_mode="reflect"),
    "replicate": lambda: nn.Conv2d(6, 8, 3, padding=1, padding_mode="replicate"),
    "grouped": lambda: nn.Conv2d(6, 8, 3, padding=1, groups=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6),
    "rectangular": lambda: nn.Conv2d(6, 8, (1, 5), stride=(2, 1), padding=(0, 2)),
    "dilated": lambda: nn.Conv2d(6, 8, 3, dilation=2, padding=2),
    "transposed": lambda: nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1),
    "transposed, grouped, dilated": lambda: nn.ConvTranspose2d(6, 4, (2, 3), stride=(1, 3), groups=2, dilation=2),
    "one axis": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(6, 8, 5, padding=2, stride=3)),
    "three axes": lambda: nn.Sequential(nn.Unflatten(1, (3, 2)), nn.Conv3d(3, 4, (2, 3, 3), padding=(0, 1, 1))),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(6 * 49, 16)),
    "weights times columns": lambda: nn.Sequential(nn.Unfold(3), Columns(6 * 9, 8)),
    "linear over the last axis": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(49, 16)),
}


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("name", OPERATORS)
def test_every_linear_operator_is_exact_on_ideal_tiles(name):
    torch.manual_seed(3)
    operator = OPERATORS[name]()
    for parameter in operator.parameters():
        parameter.data = torch.where(parameter >= 0, 1.0, -1.0)
    network = nn.Sequential(Sign(), operator).eval()
    tiled = on_tiles(adopt(network, torch.randn(2, 6, 7, 7)), IDEAL)
    unseen = torch.randn(3, 6, 7, 7)
    with torch.no_grad():
        assert torch.equal(tiled(unseen), network.double()(unseen.double()).float())


class Padded(nn.Module):
    """Pads by itself, unevenly, with a value of its own."""

    def __init__(self, value):
        super().__init__()
        self.value = value
        self.weight = nn.Parameter(signs_of(torch.randn(8, 6, 3, 3)))

    def forward(self, x):
        return functional.conv2d(functional.pad(signs_of(x), (2, 1, 0, 3), value=self.value), self.weight)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_padding_within_a_forward_pass_is_exact(value):
    network = Padded(value)
    adopted, survey = adopt_and_survey(network, torch.randn(2, 6, 5, 6))
    if value == 0:
        assert survey.found[0].sides == (5, 6)
        assert survey.found[0].shape.endswith("padding 1/2/3")
    tiled = on_tiles(adopted, IDEAL)
    unseen = torch.randn(3, 6, 5, 6)
    assert torch.equal(tiled(unseen), network(unseen))


class Bits(nn.Module):
    """Activations 0 and a, as some networks of one bit have."""

    def forward(self, x):
        return 0.5 * (x > 0).float()


def test_inputs_of_zero_and_a_are_binary_too():
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 8, 3, padding=1, bias=False)
    conv.weight.data = signs_of(conv.weight.data)
    network = nn.Sequential(Bits(), conv)
    tiled = on_tiles(adopt(network, torch.randn(2, 6, 5, 5)), IDEAL)
    unseen = torch.randn(3, 6, 5, 5)
    assert torch.equal(tiled(unseen), network(unseen))


def _changed(change):
    network = own()
    change(network)
    return network


@pytest.mark.parametrize(
    ("network", "binary", "message"),
    [
        (own(), ["7"], "no layer '7'"),
        (own(), ["4"], "layer 4 is not binary: its inputs are not of two values"),
        (own(), ["3"], "layer 3 computed no product"),
        (
            _changed(lambda n: n[1].register_forward_hook(lambda _module, _given, signs: 0.25 + signs)),
            ["2"],
            "its inputs are -0.75 and 1.25, neither -a and .a nor 0 and a",
        ),
        (own(sign=False), ["2"], "layer 2 is not binary: its inputs are not of two values"),
        (own(sign=False), "auto", "no layer of the network is binary:\n0 .*\n2 "),
        (
            _changed(lambda n: n[2].weight.data[0, 0, 0].zero_()),
            ["2"],
            "layer 2 is not binary: 3 of 432 weights",
        ),
        (_changed(lambda n: n[0].bias.data[2].fill_(torch.nan)), "auto", r"1 of 6 values of 0\.bias are NaN"),
        (
            nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(4, 3, 1)),
            "auto",
            "fails on the example, torch.float32 shaped",
        ),
    ],
)
def test_what_is_not_binary_is_refused_by_name(network, binary, message):
    with pytest.raises(BadInput, match=message):
        adopt(network, IMAGES, binary=binary)


@pytest.mark.parametrize("example", [torch.rand(0, 3, 8, 8), None])
def test_an_example_without_images_is_refused(example):
    with pytest.raises(BadInput, match=r"adopt: the example (has no images|is a NoneType); pass a batch"):
        adopt(own(), example)


def test_zeros_among_signs_are_no_padding():
    class TorchSign(nn.Module):
        def forward(self, x):
            return torch.sign(x)

    network = own()
    network[1] = TorchSign()
    network[0].weight.data[0], network[0].bias.data[0] = 0, 0
    with pytest.raises(BadInput, match="180 of its 1,080 inputs are 0, neither -1 nor"):
        adopt(network, IMAGES, binary=["2"])


def test_an_input_that_the_example_did_not_show_is_refused_when_it_comes():
    network = nn.Sequential(own()[2])
    adopted = adopt(network, signs_of(torch.randn(2, 6, 8, 8)))
    for odd in (torch.zeros(1, 6, 8, 8), torch.full((1, 6, 8, 8), torch.nan)):
        with pytest.raises(BadInput, match="layer 0 gets inputs other than -1 and 1"):
            adopted(odd)


def test_weights_that_depend_on_the_images_stay_digital():
    class Attention(nn.Module):
        def forward(self, x):
            signs = signs_of(x.flatten(1)[:, :6])
            return signs @ signs.T

    with pytest.raises(BadInput, match="its weights change from call to call"):
        adopt(Attention(), torch.randn(5, 3, 8, 8))


class Quantised(NamedTuple):
    """As brevitas wraps what its quantisers give: unpacked when torch is called with it."""

    value: torch.Tensor

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func(*(each.value if isinstance(each, Quantised) else each for each in args), **(kwargs or {}))


def test_products_that_no_layer_computes_are_listed_and_stay_digital():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = own()[2]

        def forward(self, x):
            x = self.conv(signs_of(x))
            return torch.einsum("bchw,bc->bhw", x, x.mean((2, 3)))

    network = nn.Sequential(nn.Conv2d(3, 6, 3), Gated(), nn.LSTM(4, 2)).eval()
    adopted, survey = adopt_and_survey(network, IMAGES)
    rows = dict(line.split("  ", 1) for line in str(survey).split("\n"))
    assert rows["1.conv.binary"].endswith("on tiles")
    assert "einsum  " in rows["1"]
    assert "lstm  " in rows["2"]
    assert torch.equal(on_tiles(adopted, IDEAL)(IMAGES)[0], network(IMAGES)[0])


def test_a_quantisers_own_tensors_are_seen_through():
    class QuantConv2d(nn.Conv2d):
        def forward(self, x):
            return functional.conv2d(Quantised(signs_of(x)), Quantised(signs_of(self.weight)), self.bias)

    torch.manual_seed(0)
    network = nn.Sequential(QuantConv2d(3, 6, 3)).eval()
    tiled = on_tiles(adopt(network, IMAGES - 0.5), IDEAL)
    unseen = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(tiled(unseen), network(unseen))


def test_the_layers_forward_pass_is_kept():
    class Shifted(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x) + 1

    network = own()
    network[2] = Shifted(6, 8, 3, bias=False)
    network[2].weight.data = signs_of(network[2].weight.data)
    assert torch.equal(adopt(network, IMAGES)(IMAGES), network(IMAGES))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_keep_theirs(dtype):
    network = own().to(dtype)
    adopted = on_tiles(adopt(network, IMAGES), IDEAL)
    assert adopted(IMAGES.to(dtype)).dtype == dtype
    assert torch.equal(adopted(IMAGES.to(dtype)), network(IMAGES.to(dtype)))


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
def test_wrappers_are_taken_off_and_scripts_refused():
    network = own()
    assert list(binary_layers(adopt(nn.DataParallel(network), IMAGES, binary=["module.2"]))) == ["2.binary"]
    with pytest.raises(BadInput, match="traced or scripted module"), torch.no_grad():
        adopt(torch.jit.trace(network, IMAGES), IMAGES)


class Twice(nn.Module):
    """One layer, called in two ways in a pass."""

    def __init__(self, first, second):
        super().__init__()
        self.stem, self.layer, self.calls = nn.Conv2d(3, 6, 3), ByCall(), (first, second)

    def forward(self, images):
        features = self.stem(images)
        return torch.cat([self.layer(features, **call).mean((2, 3)) for call in self.calls], 1)


class ByCall(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 6, 3, 3))

    def forward(self, features, *, dilation=1, level=1.0, pool=1):
        signs = level * signs_of(functional.avg_pool2d(features, pool))
        return functional.conv2d(signs, signs_of(self.weight), padding=1, dilation=dilation)


def test_a_layer_called_with_two_sizes_has_the_same_logits():
    network = Twice({}, {"pool": 2}).eval()
    unseen = torch.randn(2, 3, 12, 12)
    assert torch.equal(on_tiles(adopt(network, IMAGES), IDEAL)(unseen), network(unseen))


@pytest.mark.parametrize("other", [{"dilation": 2}, {"level": 0.5}])
def test_a_layer_called_in_two_ways_stays_digital(other):
    with pytest.raises(BadInput, match=r"layer layer is not binary: its geometry, or .*change from call to call"):
        adopt(Twice({}, other).eval(), IMAGES, binary=["layer"])


def test_a_geometry_that_the_example_did_not_show_is_refused_when_it_comes():
    network = Twice({}, {}).eval()
    adopted = adopt(network, IMAGES)
    adopted.calls = ({}, {"dilation": 2})
    with pytest.raises(BadInput, match=r"layer layer is called with another geometry .*dilation 2"):
        adopted(IMAGES)


def test_signs_drawn_by_chance_are_refused():
    class Chance(nn.Module):
        def forward(self, x):
            return 2 * torch.bernoulli(torch.sigmoid(x)) - 1

    with pytest.raises(BadInput, match="draws random numbers in evaluation mode"):
        adopt(nn.Sequential(Chance(), BinaryConv2d(3, 4)), IMAGES)


def test_training_goes_straight_through_tiles():
    network = own(scale=0.5)
    tiled = on_tiles(adopt(network, IMAGES), Tiles(SPEC, IdealCodes())).train()
    for each in (network, tiled):
        each(IMAGES).square().sum().backward()
    torch.testing.assert_close(tiled[2].written.weight.grad, network[2].weight.grad)
    torch.testing.assert_close(tiled[0].weight.grad, network[0].weight.grad)
    with torch.no_grad():  # a step that turns a weight's sign reaches the cells
        tiled[2].written.weight[0, 0, 0, 0] *= -1
        network[2].weight[0, 0, 0, 0] *= -1
    assert torch.equal(tiled.eval()(IMAGES), network(IMAGES))


def test_weights_that_are_not_finite_are_named():
    network = nn.Sequential(BinaryConv2d(1, 1))
    network[0].weight.data.fill_(torch.nan)
    with pytest.raises(BadInput, match="layer 0 has weights that are not finite"):
        check_binary(network)


class Binarised(nn.Module):
    def forward(self, weight):
        return signs_of(weight)


def parametrised():
    network = own()
    torch.nn.utils.parametrize.register_parametrization(network[2], "weight", Binarised())
    return network.eval()


def weight_normed():
    network = own()
    torch.nn.utils.parametrizations.weight_norm(network[0])
    torch.nn.utils.parametrize.register_parametrization(network[2], "weight", Binarised())
    return network.eval()


@pytest.mark.parametrize("network", [parametrised(), weight_normed()], ids=["parametrised", "weight norm"])
def test_a_parametrised_layer_lies_on_tiles(network):
    """torch gives such a layer a way of its own to be copied, which once left the tiles out in silence."""
    tiled = on_tiles(adopt(network, IMAGES), IDEAL)
    assert list(tiled_layers(tiled)) == ["2.binary"]
    assert torch.allclose(tiled(IMAGES), network(IMAGES), rtol=1e-5)


class Unfolded(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 27))

    def forward(self, x):
        return signs_of(self.weight) @ functional.unfold(signs_of(x - 0.5), 3, padding=1)


def test_zeros_among_the_inputs_of_a_matrix_product_are_named():
    with pytest.raises(BadInput, match=r"inputs are 0, neither -1 nor \+1"):
        adopt(Unfolded(), IMAGES)


class Later(nn.Module):
    """Multiplies signs in a further way, once it is told to."""

    def __init__(self, kind, *, first):
        super().__init__()
        self.weight = nn.Parameter(signs_of(torch.randn(8, 8)))
        self.layer, self.kind, self.first, self.told = SignedLinear(), kind, first, False

    def forward(self, x):
        x = self.layer(x) if self.first == "child" else x
        if self.first == "own":
            x = functional.linear(signs_of(x), self.weight)
        return MORE[self.kind](self, signs_of(x)) if self.told else x


class SignedLinear(nn.Linear):
    def __init__(self):
        super().__init__(8, 8, bias=False)
        self.weight.data = signs_of(self.weight.data)

    def forward(self, x):
        return functional.linear(signs_of(x), self.weight)


MORE = {
    "linear": lambda self, signs: functional.linear(signs, self.weight),
    "matmul": lambda self, signs: signs @ self.weight.T,
    "conv2d": lambda self, signs: functional.conv2d(signs[..., None, None], self.weight[..., None, None]),
    "einsum": lambda self, signs: torch.einsum("ni,oi->no", signs, self.weight),
    "vectors": lambda self, signs: torch.stack([torch.mv(self.weight, each) for each in signs]),
    "one image": lambda self, signs: functional.conv1d(signs[0, :, None], self.weight[..., None])[None],
}


@pytest.mark.parametrize("first", ["own", "child"])
@pytest.mark.parametrize("kind", MORE)
def test_a_binary_product_that_the_example_did_not_show_is_refused_when_it_comes(kind, first):
    network = nn.Sequential(Later(kind, first=first), nn.Linear(8, 2)).eval()
    images = torch.randn(4, 8)
    for found in (adopt(network, images), on_tiles(adopt(network, images), IDEAL)):
        torch.testing.assert_close(found(images), network(images))
        later = found[0].written if first == "own" else found[0]
        later.told = True
        with pytest.raises(BadInput, match=r"layer 0 .* outside of its tiles"):
            found(images)
        later.told = False
        torch.testing.assert_close(found(images), network(images))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.real = SignedLinear(), SignedLinear(), nn.Linear(8, 8)

    def forward(self, x):
        return self.one(x) if len(x) < 5 else self.two(x) if len(x) < 9 else self.real(self.one(x))


def test_a_layer_that_the_example_did_not_reach_is_refused_when_it_is_reached():
    network = Branches().eval()
    adopted = pickle.loads(pickle.dumps(on_tiles(adopt(network, torch.randn(4, 8)), IDEAL)))
    with pytest.raises(BadInput, match="layer two computes a binary product"):
        adopted(torch.randn(5, 8))
    images = torch.randn(9, 8)
    assert torch.equal(adopted(images), network(images)), "what is not binary stays digital"
    only = adopt(network, torch.randn(4, 8), binary=["one"])
    images = torch.randn(5, 8)
    assert torch.equal(only(images), network(images)), "what was not asked for does too"


def test_products_of_a_module_and_of_its_children_lie_on_tiles_together():
    class Whole(nn.Module):
        """Its own binary convolution is no module of its own."""

        def __init__(self):
            super().__init__()
            self.stem, self.block = nn.Conv2d(3, 6, 3), nn.Sequential(Sign(), own()[2])
            self.weight = nn.Parameter(torch.randn(4, 8, 3, 3))

        def forward(self, x):
            return functional.conv2d(signs_of(self.block(self.stem(x))), signs_of(self.weight)).mean((2, 3))

    network = Whole().eval()
    adopted, survey = adopt_and_survey(network, IMAGES)
    names = [each.name for each in survey.found if each.layer]
    assert sorted(names) == sorted(binary_layers(adopted)) == ["binary", "written.block.1.binary"]
    unseen = torch.randn(3, 3, 9, 9)
    assert torch.equal(on_tiles(adopted, IDEAL)(unseen), network(unseen))
    assert torch.equal(adopt(adopted, IMAGES)(unseen), network(unseen)), "and once more"


def test_a_layer_whose_forward_is_called_by_name_lies_on_tiles():
    class ByName(nn.Sequential):
        def forward(self, x):
            return self[1].forward(self[0](x))

    network, unseen = ByName(SignedLinear(), SignedLinear()).eval(), torch.randn(3, 8)
    tiled = on_tiles(adopt(network, torch.randn(4, 8)), IDEAL)
    assert len(tiled_layers(tiled)) == 2
    assert torch.equal(tiled(unseen), network(unseen))
    nested = on_tiles(adopt(adopt(network, unseen), unseen), IDEAL)
    assert torch.equal(nested(unseen), network(unseen))


def test_a_pass_that_the_user_interrupts_leaves_nothing_behind():
    class Interrupted(Sign):
        def forward(self, x):
            if len(x) == 1:
                raise KeyboardInterrupt
            return super().forward(x)

    network = own()
    network[1] = Interrupted()
    adopted = adopt(network, IMAGES)
    with pytest.raises(KeyboardInterrupt):
        adopted(IMAGES[:1])
    signs = signs_of(torch.randn(2, 6, 4, 4))
    assert functional.conv2d(signs, network[2].weight).shape == (2, 8, 2, 2), "no layer is at work any more"
    assert torch.equal(adopted(IMAGES), network(IMAGES))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_an_old_weight_norm_is_named_with_its_cure():
    network = own()
    torch.nn.utils.weight_norm(network[0])
    with pytest.raises(BadInput, match=r"layer 0 holds 'weight'.*remove_weight_norm\), or use .*parametrizations"):
        adopt(network, IMAGES)
    torch.nn.utils.remove_weight_norm(network[0])
    assert torch.equal(adopt(network, IMAGES)(IMAGES), network(IMAGES))


def test_a_function_that_keeps_a_layer_is_refused():
    """Copied with its module it would go on with the layer of the original."""
    for keep in (lambda layer: lambda x: layer(x), lambda layer: lambda x, layer=layer: layer(x)):
        network = nn.Sequential(own())
        network.shortcut = keep(network[0][2])
        for copying, other in ((adopt, IMAGES), (on_tiles, IDEAL)):
            with pytest.raises(BadInput, match="the network holds 'shortcut', a function that keeps a layer"):
                copying(network, other)
