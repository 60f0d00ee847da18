"""The binary layer against counting with integers, and its gradients against their formulas."""

import copy

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from spicekit.networks.layers import (
    BinaryConv2d,
    MultiBitConv2d,
    binary_layers,
    bit_planes,
    signs_of,
)


def counted(values, weights, *, stride, padding):
    """The same dot products from bits, in integers: matches minus mismatches."""
    a = np.pad(values >= 0, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=False)
    k = weights.shape[-1]
    windows = sliding_window_view(a, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    matches = windows[:, None] == (weights >= 0)[None, :, :, None, None]
    return 2 * matches.sum(axis=(2, 5, 6), dtype=np.int64) - weights[0].size


@pytest.fixture
def values(rng):
    return rng.normal(size=(2, 5, 8, 8)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 1, 0), (5, 1, 2)])
def test_output_counts_matches_minus_mismatches(values, kernel_size, stride, padding):
    layer = BinaryConv2d(5, 7, kernel_size=kernel_size, stride=stride, padding=padding).eval()
    dots = layer(torch.from_numpy(values)).detach().numpy()
    expected = counted(values, layer.weight.detach().numpy(), stride=stride, padding=padding)
    assert dots.dtype == np.float32
    np.testing.assert_array_equal(dots, expected)


def test_padding_is_minus_one():
    layer = BinaryConv2d(1, 1).eval()
    torch.nn.init.ones_(layer.weight)
    dots = layer(torch.ones(1, 1, 1, 1))
    assert dots.item() == 1 - 8  # the pixel itself, and eight around it that are padding


def test_the_sign_of_zero_is_plus_one():
    assert signs_of(torch.tensor([0.0, -0.0])).tolist() == [1.0, 1.0]
    layer = BinaryConv2d(1, 1, kernel_size=1, padding=0)
    torch.nn.init.zeros_(layer.weight)
    assert layer.weight_bits().item() == 1
    assert layer(torch.zeros(1, 1, 1, 1)).item() == 1


def test_weight_bits_are_the_signs_as_stored_in_cells():
    layer = BinaryConv2d(2, 3)
    bits = layer.weight_bits()
    assert bits.shape == (3, 2, 3, 3)
    assert bits.dtype == torch.uint8
    assert torch.equal(2 * bits.float() - 1, signs_of(layer.weight.detach()))


def test_scaling_the_latent_weights_changes_nothing(values):
    layer = BinaryConv2d(5, 7).eval()
    before = layer(torch.from_numpy(values))
    layer.weight.data *= 0.01
    assert torch.equal(layer(torch.from_numpy(values)), before)


def test_gradient_of_the_input_is_a_parabola_inside_one_and_nothing_outside():
    values = torch.tensor([-1.5, -0.5, 0.0, 0.25, 1.0]).reshape(1, 1, 1, 5).requires_grad_()
    layer = BinaryConv2d(1, 1, kernel_size=1, padding=0)
    torch.nn.init.ones_(layer.weight)
    layer(values).sum().backward()
    assert values.grad.flatten().tolist() == [0.0, 1.0, 2.0, 1.5, 0.0]


def test_gradient_of_a_weight_passes_straight_through(values):
    layer = BinaryConv2d(5, 2, padding=0)
    layer(torch.from_numpy(values)).sum().backward()
    signs = torch.from_numpy(np.where(values >= 0, 1.0, -1.0))
    assert layer.weight.grad[0, 0, 0, 0] == signs[:, 0, :6, :6].sum()


def test_clipping_keeps_signs_and_bounds_latent_weights():
    layer = BinaryConv2d(2, 3)
    layer.weight.data *= 100
    bits = layer.weight_bits()
    layer.clip_latent()
    assert layer.weight.abs().max() <= 1
    assert torch.equal(layer.weight_bits(), bits)


def test_a_batch_equals_its_images_one_by_one(values):
    layer = BinaryConv2d(5, 7).eval()
    images = torch.from_numpy(values)
    assert torch.equal(layer(images), torch.cat([layer(image[None]) for image in images]))


def test_binary_layers_go_by_dotted_names():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Sequential(BinaryConv2d(4, 4)))
    assert list(binary_layers(network)) == ["1.0"]
    assert torch.equal(copy.deepcopy(network)[1][0].weight_bits(), network[1][0].weight_bits())


def multi_bit(kernel_size=3, stride=1, padding=1):
    torch.manual_seed(1)
    return MultiBitConv2d(5, 3, kernel_size=kernel_size, stride=stride, padding=padding).eval()


def test_inputs_of_four_bits_are_integers_up_to_15_and_zero_where_negative():
    levels = multi_bit().input_levels(torch.linspace(-3, 3, 601))
    assert levels.unique().tolist() == list(range(16))
    assert (levels.diff() >= 0).all()
    assert multi_bit().input_levels(torch.tensor([-5.0, 0.0, 0.1881, 9.0])).tolist() == [0, 0, 1, 15]


def test_padding_of_four_bits_is_zero():
    layer = MultiBitConv2d(1, 1).eval()
    torch.nn.init.constant_(layer.weight, 7 / 8)
    assert layer(torch.full((1, 1, 1, 1), 9.0)).item() == 7 * 15  # the pixel alone


def test_weights_of_four_bits_are_in_twos_complement():
    layer, copy = multi_bit(), multi_bit()
    planes = layer.weight_bits()
    assert planes.shape == (12, 5, 3, 3)
    assert {-1, 0, 1} < set(layer.weight_levels().unique().tolist()) <= set(range(-8, 8))
    places = torch.tensor([1.0, 2.0, 4.0, -8.0]).reshape(4, 1, 1, 1, 1)
    assert torch.equal((places * planes.reshape(4, 3, 5, 3, 3)).sum(0), layer.weight_levels())
    copy.weight.data.zero_()
    copy.set_weight_bits(planes)
    assert torch.equal(copy.weight_levels(), layer.weight_levels())


def test_a_latent_weight_of_four_bits_can_always_turn_back(values):
    layer = multi_bit().train()
    torch.nn.init.constant_(layer.weight, 100.0)
    layer.weight.data[0] *= -1
    layer.clip_latent()
    layer(torch.from_numpy(values)).square().sum().backward()
    assert (layer.weight.grad != 0).all()
    assert layer.weight_levels().unique().tolist() == [-8, 7]


def test_gradient_of_an_input_of_four_bits_passes_where_it_is_not_cut_off():
    inputs = torch.tensor([-0.1, 0.05, 1.0, 2.8, 2.9], requires_grad=True)
    multi_bit().input_levels(inputs).sum().backward()
    assert (inputs.grad != 0).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 1, 0)])
def test_four_bits_are_the_sum_of_sixteen_layers_of_bits(kernel_size, stride, padding):
    layer = multi_bit(kernel_size, stride, padding)
    geometry = {"stride": stride, "padding": padding}
    levels = layer.input_levels(1.5 * torch.randn(2, 5, 7, 6))
    weights = layer.weight_bits().reshape(4, 3, 5, kernel_size, kernel_size).float()
    total = sum(
        v * 2**q * torch.nn.functional.conv2d(plane.float(), weight, **geometry)
        for q, plane in enumerate(bit_planes(levels))
        for v, weight in zip((1, 2, 4, -8), weights, strict=True)
    )
    assert torch.equal(total.round(), layer.product(levels))


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 1, 0)])
def test_four_bits_run_on_products_of_signs(kernel_size, stride, padding):
    layer = multi_bit(kernel_size, stride, padding)
    planes = BinaryConv2d(5, 12, kernel_size=kernel_size, stride=stride, padding=padding).eval()
    planes.set_weight_bits(layer.weight_bits())
    values = 1.5 * torch.randn(2, 5, 7, 6)
    bits = layer.input_planes(values)
    assert torch.equal(layer.combine([planes.product(2.0 * plane - 1) for plane in bits], bits), layer(values))
