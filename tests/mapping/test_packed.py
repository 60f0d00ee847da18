"""Mapped layers on ideal tiles are the software layers, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.model import read_model
from spicekit.mapping.binsparx import BinSparX, restore
from spicekit.mapping.inputs import side_by_side
from spicekit.mapping.layers import Geometry, footprint, map_layer
from spicekit.mapping.packed import apply_inputs, dot_products, pack_layer
from spicekit.networks.layers import BinaryConv2d


def spec_of(rows: int = 64, rows_active: int = 16) -> TileSpec:
    return TileSpec(rows=rows, rows_active=rows_active, wires=Wires(r_bl=1, r_sl=1))


@settings(deadline=None, max_examples=30)
@given(
    channels=st.sampled_from([(1, 3), (5, 4), (16, 8), (23, 7)]),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
    rows_active=st.sampled_from([4, 12, 16, 32, 64, 96, 128]),
    static=st.booleans(),
    dynamic=st.booleans(),
    rule=st.sampled_from(["count", "position"]),
    unrolling=st.sampled_from(["channel-major", "kernel-major"]),
    seed=st.integers(0, 1000),
)
def test_ideal_tiles_give_the_software_layer_with_and_without_flips(
    channels, kernel, stride, rows_active, static, dynamic, rule, unrolling, seed
):
    torch.manual_seed(seed)
    layer = BinaryConv2d(*channels, kernel_size=kernel, stride=stride, padding=kernel // 2).eval()
    values = torch.randn(2, channels[0], 7, 6) + 0.4  # more ones than zeros, so that flips occur
    spec = spec_of(rows=rows_active * max(1, 64 // rows_active), rows_active=rows_active)
    packed = pack_layer(
        map_layer(
            "layer",
            layer.weight_bits().numpy(),
            Geometry.square(channels[0], kernel, stride, kernel // 2),
            spec,
            binsparx=BinSparX(static=static, dynamic=dynamic, flip_rule=rule),
            unrolling=unrolling,
        )
    )
    applied = apply_inputs(packed, (values >= 0).numpy().astype(np.uint8))
    dots = dot_products(packed, applied, IdealCodes())
    assert (dots == layer(values).detach().numpy()).all()


@pytest.mark.parametrize(("images", "sides"), [(1, (7, 6)), (64, (4, 4)), (70, (3, 100)), (2, (20, 20))])
def test_real_inputs_stand_for_their_signs(images, sides):
    """As the layer takes them: 1 where a number is not negative; wherever they lie in memory."""
    torch.manual_seed(0)
    layer = BinaryConv2d(5, 8)
    values = torch.randn(images, 5, *sides)
    special = torch.tensor([0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e-45, -1e-45])
    values.flatten()[: 7 * (values.numel() // 7)].view(-1, 7)[::3] = special
    bits = layer.input_planes(values)[0].numpy().astype(np.uint8)
    assert (bits.ravel()[:7] == [1, 1, 0, 1, 0, 1, 0]).all()
    mapped = map_layer(
        "layer", layer.weight_bits().numpy(), layer.geometry, spec_of(rows=16, rows_active=16), binsparx=BinSparX()
    )
    packed = pack_layer(mapped)
    expected = apply_inputs(packed, bits)
    for laid in (values, values.to(memory_format=torch.channels_last), values.transpose(2, 3).contiguous().mT):
        found = apply_inputs(packed, laid.numpy())
        assert (found.words == expected.words).all()
        assert (found.asserted == expected.asserted).all()


def test_absent_images_of_the_last_block_have_zeros():
    """Also where a whole block was laid in the same room before."""
    for inputs in (np.ones((70, 3, 20), np.uint8), np.zeros((70, 3, 20), np.float32)):
        together = side_by_side(inputs, np.arange(-1, 20))
        assert together.shape == (2, 3, 21, 64)
        assert together[0, :, 1:].all()
        assert together[1, :, 1:, :6].all()
        assert not together[1, :, :, 6:].any()
        assert not together[:, :, 0].any()


@pytest.mark.parametrize("f", [False, True])
@pytest.mark.parametrize("d", [False, True])
def test_each_of_the_four_cases_restores_the_sum(f, d):
    rng = np.random.default_rng(0)
    w = rng.integers(0, 2, (50, 16))
    a = rng.integers(0, 2, (50, 16))
    measured = ((w ^ f) & (a ^ d)).sum(axis=1)
    restored = restore(
        measured,
        stored_inverted=np.array(f),
        applied_inverted=np.array(d),
        weight_ones=w.sum(axis=1),
        activation_ones=a.sum(axis=1),
        rows=16,
    )
    assert (restored == (w & a).sum(axis=1)).all()


def mapped(binsparx: BinSparX, *, channels: int = 8, rows_active: int = 16):
    rng = np.random.default_rng(1)
    weights = (rng.random((6, channels, 3, 3)) < 0.7).astype(np.uint8)
    return map_layer(
        "layer",
        weights,
        Geometry.square(channels, 3, 1, 1),
        spec_of(rows_active=rows_active),
        binsparx=binsparx,
    )


def test_static_flips_leave_no_column_with_more_ones_than_zeros():
    layer = mapped(BinSparX(static=True))
    assert (2 * layer.stored.sum(axis=2) <= layer.used[..., None]).all()
    assert layer.inverted.any()


def test_unused_rows_store_zeros():
    layer = mapped(BinSparX(static=True))
    assert (layer.rows < 0).any()
    assert not layer.stored[layer.rows < 0].any()


def test_dynamic_flips_apply_at_most_half_ones():
    packed = pack_layer(mapped(BinSparX(dynamic=True)))
    bits = (np.random.default_rng(2).random((1, 8, 5, 5)) < 0.9).astype(np.uint8)
    applied = apply_inputs(packed, bits)
    assert (np.bitwise_count(applied.words).sum(axis=4) == applied.asserted).all()
    assert (2 * applied.asserted <= packed.layer.used[..., None]).all()
    assert applied.inverted.any()


@pytest.mark.parametrize("rows_active", [16, 64])
def test_a_tally_counts_every_read_and_flips_lower_its_on_cells(sram_table, rows_active):
    bits = (np.random.default_rng(2).random((2, 8, 5, 5)) < 0.7).astype(np.uint8)
    model = read_model(spec_of(rows_active=rows_active), sram_table)
    on_cells = {}
    for both in (False, True):
        packed = pack_layer(mapped(BinSparX(static=both, dynamic=both), rows_active=rows_active))
        applied = apply_inputs(packed, bits)
        tally = model.tally(packed.stored, applied)
        assert tally.reads.sum() == 2 * 5 * 5 * 6 * (packed.layer.used > 0).sum()
        on_cells[both] = tally.reads @ np.arange(rows_active + 1)
        asserted = applied.asserted.sum() * packed.layer.outputs
        assert tally.others.sum() + on_cells[both] == asserted
        ideal = on_cells[both] * model.cells.lsb
        assert 0.7 * ideal < tally.current.sum() < ideal
    assert on_cells[True] < on_cells[False]


def test_an_image_alone_gives_what_it_gives_in_a_batch():
    packed = pack_layer(mapped(BinSparX(static=True, dynamic=True)))
    bits = np.random.default_rng(3).integers(0, 2, (5, 8, 6, 6), dtype=np.uint8)
    codes = IdealCodes()
    together = dot_products(packed, apply_inputs(packed, bits), codes)
    for k in range(5):
        alone = dot_products(packed, apply_inputs(packed, bits[k : k + 1]), codes)
        assert (alone[0] == together[k]).all()


def test_a_footprint_is_what_walking_over_the_layer_counts():
    """45 inputs on tiles of 32 rows and 16 columns, 8 rows a read; 6 x 7 pixels, whose border sees padding."""
    spec = spec_of(rows=32, rows_active=8).replace(columns=16)
    found = footprint(Geometry.square(5, 3, 1, 1), 20, (6, 7), spec, zero_padded=True)
    blocks = [range(32), range(32, 45)]
    assert found.tiles == len(blocks) * len([range(16), range(16, 20)])
    assert found.cells == 45 * 20
    groups = sum(len({row % 32 // 8 for row in block}) for block in blocks)
    assert found.reads == 6 * 7 * groups * 20
    kinds = [(min(y, 1) - (y == 5), min(x, 1) - (x == 6)) for y in range(6) for x in range(7)]
    border = [(y, x) for (y, x), at in zip(kinds, np.ndindex(6, 7), strict=True) if 0 in at or at[0] == 5 or at[1] == 6]
    assert found.additions == len(border) * 20
    assert found.constants == 8 * 20
    plain = footprint(Geometry.square(5, 3, 1, 1), 20, (6, 7), spec)
    assert (plain.additions, plain.constants, plain.reads) == (0, 0, found.reads)


class Halves(IdealCodes):
    """Codes that stand for two ON cells each, and lose nothing."""

    def sums(self, stored, applied):
        return super().sums(stored, applied) / 2


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("dynamic", [False, True])
def test_coarse_codes_are_worth_their_step(static, dynamic):
    torch.manual_seed(1)
    layer, values = BinaryConv2d(5, 4).eval(), torch.randn(2, 5, 4, 4) + 0.4
    packed = pack_layer(
        map_layer(
            "layer", layer.weight_bits().numpy(), Geometry.square(5, 3, 1, 1), spec_of(rows_active=16),
            binsparx=BinSparX(static=static, dynamic=dynamic),
        )
    )  # fmt: skip
    applied = apply_inputs(packed, (values >= 0).numpy().astype(np.uint8))
    assert (dot_products(packed, applied, Halves(step=2.0)) == layer(values).detach().numpy()).all()
