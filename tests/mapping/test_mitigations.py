"""Mitigations without training: exact on ideal tiles, and better than nothing where they claim to be."""

import copy
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import NO_VARIATION, Variation
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.errors import BadInput
from spicekit.evaluation.tiled import TILED, Tiles
from spicekit.mapping.binsparx import MITIGATION_LABELS, MITIGATIONS, BinSparX, Mitigation
from spicekit.mapping.layers import map_layer
from spicekit.mapping.positions import invert_together, shared_resistance
from spicekit.networks.geometry import Geometry
from spicekit.networks.layers import BinaryConv2d, BinaryLinear, MultiBitConv2d

FAULTY = Variation(stuck_at_0=0.04, stuck_at_1=0.04, seed=3)
WIRES = Wires(r_driver=20.0, r_sink=5.0, r_bl=10.0, r_sl=4.0)


def spec_of(rows_active: int = 16, **fields) -> TileSpec:
    return TileSpec(rows=64, rows_active=rows_active, wires=WIRES, **fields)


def on_ideal_tiles(layer, binsparx: BinSparX, *, spec: TileSpec, variation: Variation = NO_VARIATION):
    """The layer on ideal tiles, whose stuck cells are those of the variation."""
    tiles = Tiles(spec, IdealCodes(), binsparx, variation=variation)
    tiled = copy.deepcopy(layer).eval()
    TILED[type(layer)].of(tiled, name="layer", tiles=tiles)
    return tiled


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(MITIGATIONS)),
    kind=st.sampled_from([BinaryConv2d, MultiBitConv2d, BinaryLinear]),
    channels=st.sampled_from([(1, 3), (5, 4), (16, 8), (29, 7)]),
    rows_active=st.sampled_from([4, 16, 32, 64]),
    sense_end=st.sampled_from(["far", "near"]),
    seed=st.integers(0, 1000),
)
def test_every_mitigation_is_exact_on_ideal_tiles(name, kind, channels, rows_active, sense_end, seed):
    torch.manual_seed(seed)
    layer = kind(*channels).eval()
    values = torch.randn(2, channels[0], *(() if kind is BinaryLinear else (6, 5))) + 0.4
    spec = spec_of(rows_active, sense_end=sense_end)
    tiled = on_ideal_tiles(layer, MITIGATIONS[name], spec=spec)
    assert torch.equal(tiled(values), layer(values))


def test_the_names_of_mitigations_are_one_set():
    assert set(MITIGATIONS) == set(MITIGATION_LABELS) == set(get_args(Mitigation))
    assert len(set(MITIGATION_LABELS.values())) == len(MITIGATIONS)
    made = [tuple(sorted(mitigation.model_dump().items())) for mitigation in MITIGATIONS.values()]
    assert len(set(made)) == len(made), "two names for one thing"


def mapped(binsparx: BinSparX, *, spec: TileSpec, variation: Variation = NO_VARIATION, outputs: int = 40):
    rng = np.random.default_rng(0)
    weights = (rng.random((outputs, 20, 3, 3)) < rng.random((20, 3, 3))).astype(np.uint8)
    return map_layer("layer", weights, Geometry.square(20, 3, 1, 1), spec, binsparx=binsparx, variation=variation)


def predicted_loss(layer) -> float:
    """sum_ij M_ij p_i p_j over all reads, p_i the share of ones that row i stores."""
    m = layer.spec.rows_active
    shared = shared_resistance(layer.spec)
    total = 0.0
    for group, stored in enumerate(layer.stored.mean(axis=3)):
        place = slice(group * m, (group + 1) * m)
        total += np.einsum("ij,ti,tj->", shared[place, place], stored, stored)
    return total


@pytest.mark.parametrize("sense_end", ["far", "near"])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("rows_active", [16, 64])
def test_ordered_rows_lose_less_than_rows_as_they_come(rows_active, both, sense_end):
    spec = spec_of(rows_active, sense_end=sense_end)
    flips = BinSparX(static=both, dynamic=both)
    plain, ordered = mapped(flips, spec=spec), mapped(flips.replace(order=True), spec=spec)
    assert predicted_loss(ordered) < predicted_loss(plain)
    assert sorted(ordered.rows.ravel()) == sorted(plain.rows.ravel())
    assert ((ordered.rows >= 0) == (plain.rows >= 0)).all(), "rows in use stay the first ones"


def test_with_flips_reads_keep_their_inputs():
    spec = spec_of(16, sense_end="near")
    reads = [
        {frozenset(read) for read in mapped(kind, spec=spec).rows.reshape(-1, 16)}
        for kind in (MITIGATIONS["both"], MITIGATIONS["order+both"])
    ]
    assert reads[0] == reads[1]


def test_near_the_end_that_is_sensed_lie_the_densest_rows():
    layer = mapped(BinSparX(order=True), spec=spec_of(64, sense_end="near"))
    density = layer.stored[0, :2].mean(axis=(0, 2))  # of full tiles
    assert (np.diff(density) <= 0.05).all()
    assert density[0] > 0.9 > 0.1 > density[-1]


def test_rows_are_not_ordered_where_columns_share_wires():
    spec = TileSpec(cell="1t1r", rows=64, drive="bitline", wires=Wires(r_row=1.0, r_col=1.0))
    with pytest.raises(BadInput, match="bit-line drive"):
        mapped(MITIGATIONS["order"], spec=spec)


def wrong_cells(layer, variation) -> np.ndarray:
    from spicekit.mapping.layers import held

    different = held(layer.stored, variation, layer.name) != layer.stored
    return (different & (layer.rows >= 0)[..., None]).sum(axis=2)


@pytest.mark.parametrize("both", [False, True])
def test_flips_against_faults_leave_the_fewest_wrong_cells_of_every_column(both):
    spec = spec_of(16)
    chosen = mapped(MITIGATIONS["faults+both" if both else "faults"], spec=spec, variation=FAULTY)
    fewest = wrong_cells(chosen, FAULTY)
    other = mapped(MITIGATIONS["both" if both else "none"], spec=spec)
    assert (fewest <= wrong_cells(other, FAULTY)).all()
    assert fewest.sum() < 0.7 * wrong_cells(other, FAULTY).sum()
    free = wrong_cells(other, FAULTY) == fewest
    assert (chosen.inverted == other.inverted)[free].mean() > 0.85  # where faults do not say, the other rule does


def test_stuck_cells_cost_ideal_tiles_their_exactness_and_flips_win_most_of_it_back():
    torch.manual_seed(0)
    layer = BinaryConv2d(32, 64).eval()
    values = torch.randn(4, 32, 8, 8)
    true = layer(values)
    errors = {}
    for name in ("none", "faults", "faults+both", "order+faults+both"):
        tiled = on_ideal_tiles(layer, MITIGATIONS[name], spec=spec_of(16), variation=FAULTY)
        errors[name] = float((tiled(values) - true).detach().square().mean())
    assert errors["none"] > 10
    assert all(errors[name] < 0.7 * errors["none"] for name in errors if name != "none"), errors


def test_planes_chosen_together_are_static_flips_where_there_is_one_plane():
    spec = spec_of(16)
    assert (mapped(MITIGATIONS["joint"], spec=spec).inverted == mapped(MITIGATIONS["static"], spec=spec).inverted).all()


def test_planes_chosen_together_have_the_least_error_of_the_weighed_sum():
    """Against every choice tried one by one, on activations of its own."""
    rng, places = np.random.default_rng(5), (1.0, 2.0, 4.0, -8.0)
    values = np.rint(rng.normal(0, 2.5, (64, 6))).clip(-8, 7).astype(int)
    bits = np.concatenate([values >> plane & 1 for plane in range(4)], axis=1).astype(np.uint8)
    inverted = invert_together(bits[None, None], np.full((1, 1, 1), 64), places)[0, 0].reshape(4, 6)
    applied = rng.integers(0, 2, (4000, 64))

    def error(flips, column):
        lost = 0.0
        for plane, place in enumerate(places):
            on = applied @ bits[:, plane * 6 + column].astype(int)
            measured = applied.sum(axis=1) - on if flips[plane] else on
            lost = lost + place * (-1) ** flips[plane] * measured.astype(float) ** 2
        return np.mean(lost**2)

    choices = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    for column in range(6):
        each = [error(choice, column) for choice in choices]
        assert error(inverted[:, column].astype(int), column) < 1.2 * min(each)
        assert error(inverted[:, column].astype(int), column) < np.median(each)


def test_a_mitigations_name_says_what_it_switches_on():
    for name, mitigation in MITIGATIONS.items():
        words = set(name.replace("both", "static+dynamic").split("+")) - {"none"}
        on = {field for field, value in mitigation.model_dump().items() if value is True}
        assert on - {"static"} == words - {"static"}, name
        assert ("static" in on) == bool({"static", "joint"} & words), name
