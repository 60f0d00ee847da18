"""What leaves a network for sign-off is what inference used."""

import numpy as np
import pytest
import torch

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.errors import BadInput
from spicekit.evaluation.vectors import network_case
from spicekit.mapping.binsparx import BinSparX
from spicekit.networks.data import load_dataset, network_inputs
from spicekit.networks.models import Architecture, build

SPEC = TileSpec(rows_active=16, wires=Wires(r_bl=1, r_sl=1))
LAST_TILE = {"layer": "conv2", "tile": 2, "block": 0, "position": (3, 4)}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(Architecture(name="vgg-small", width=0.125)).eval()


@pytest.fixture(scope="module")
def image():
    return load_dataset("digits", "test").only(5)


def test_an_exported_tile_holds_the_bits_that_the_layer_multiplies(network, image):
    """Against torch's own unfolding of the layer's input."""
    seen = []
    hook = network.conv2.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.inference_mode():
        network(network_inputs(image))
    hook.remove()
    signs = torch.where(seen[0] >= 0, 1.0, -1.0)
    padded = torch.nn.functional.pad(signs, (1, 1, 1, 1), value=-1.0)
    unfolded = torch.nn.functional.unfold(padded, 3)[0, :, 3 * 32 + 4]  # channel-major, pixel (3, 4)
    rows = slice(2 * 64, 144)  # 16 channels of 9 inputs fill two tiles and a quarter
    case = network_case(network, image, SPEC, binsparx=BinSparX(), **LAST_TILE)
    assert case.bits.shape == (4, 64)
    assert (case.bits.sum(axis=0)[:16] == (unfolded[rows] > 0).numpy()).all()
    assert not case.bits[1:].any()
    assert not case.bits[0, 16:].any()
    stored = network.conv2.weight_bits().reshape(16, -1).T[rows].numpy()
    assert (case.weights[:16, :16] == stored).all()
    assert not case.weights[16:].any()
    assert not case.weights[:, 16:].any()


def test_binsparx_exports_what_it_stores_and_applies(network, image):
    plain = network_case(network, image, SPEC, binsparx=BinSparX(), **LAST_TILE)
    flipped = network_case(network, image, SPEC, binsparx=BinSparX(static=True, dynamic=True), **LAST_TILE)
    for before, after in (
        (plain.weights[:16, :16], flipped.weights[:16, :16]),
        (plain.bits[0, :16], flipped.bits[0, :16]),
    ):
        inverted = 2 * before.sum(axis=0, dtype=int) > 16
        assert (after == np.where(inverted, 1 - before, before)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": "conv9"}, "binary layer 'conv9' is not one of conv2"),
        ({"tile": 3}, r"tile 3 is outside 0\.\.2"),
        ({"block": 1}, r"columns block 1 is outside 0\.\.0"),
        ({"position": (32, 0)}, r"pixel row 32 is outside 0\.\.31"),
    ],
)
def test_what_does_not_exist_is_refused(network, image, change, message):
    with pytest.raises(BadInput, match=message):
        network_case(network, image, SPEC, binsparx=BinSparX(), **{**LAST_TILE, **change})
