"""Flips by predicted error: the rule is the comparison of errors that it was derived from."""

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.layers import Geometry, map_layer
from spicekit.mapping.packed import apply_inputs, pack_layer
from spicekit.mapping.positions import shared_resistance

WIRES = Wires(r_driver=20.0, r_sink=5.0, r_bl=10.0, r_sl=4.0)


def mapped(spec: TileSpec, binsparx: BinSparX):
    rng = np.random.default_rng(0)
    weights = (rng.random((7, 20, 3, 3)) < rng.random((7, 20, 3, 3))).astype(
        np.uint8
    )  # 180 rows: the last tile in part
    return map_layer("layer", weights, Geometry.square(20, 3, 1, 1), spec, binsparx=binsparx)


def error(shared, on):
    """Volt-like drop of a read, summed over its ON cells: (m,) or (m, c)."""
    return np.einsum("ij,i...,j...->...", shared, on.astype(float), on.astype(float))


@pytest.mark.parametrize("sense_end", ["far", "near"])
@pytest.mark.parametrize("rows_active", [16, 64])
def test_a_sub_vector_is_inverted_where_that_lowers_the_columns_predicted_error(rows_active, sense_end):
    spec = TileSpec(rows_active=rows_active, sense_end=sense_end, wires=WIRES)
    packed = pack_layer(mapped(spec, BinSparX(static=True, dynamic=True, flip_rule="position")))
    layer = packed.layer
    bits = (np.random.default_rng(1).random((2, 20, 6, 6)) < 0.5).astype(np.uint8)
    flipped = apply_inputs(packed, bits).by_vector()
    padded = np.pad(bits, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # (n, c, h, w, 3, 3)
    inputs = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 180)
    shared = shared_resistance(spec)
    by_count = 0
    for tile in range(layer.rows.shape[1]):
        for group in range(spec.groups):
            rows = layer.rows[group, tile]
            used = rows >= 0
            place = slice(group * rows_active, (group + 1) * rows_active)
            for pixel in range(0, len(inputs), 5):
                applied = np.where(used, inputs[pixel, rows], 0)
                stored = layer.stored[group, tile]
                plain = error(shared[place, place], applied[:, None] * stored).sum()
                inverse = error(shared[place, place], (used - applied)[:, None] * stored).sum()
                if abs(plain - inverse) > 1e-5 * (plain + inverse):
                    assert flipped.inverted[pixel, group, tile] == (plain > inverse)
                by_count += flipped.inverted[pixel, group, tile] != (2 * applied.sum() > used.sum())
    assert by_count > 0  # the rule is not the count of ones in disguise


def test_columns_are_stored_with_the_lower_predicted_error():
    spec = TileSpec(rows_active=64, sense_end="near", wires=WIRES)
    layer = mapped(spec, BinSparX(static=True, flip_rule="position"))
    shared = shared_resistance(spec)
    used = (layer.rows >= 0)[0, :, :, None]
    for tile, stored in enumerate(layer.stored[0]):
        kept, other = error(shared, stored), error(shared, np.where(used[tile], 1 - stored, 0))
        assert (kept <= other * (1 + 1e-6)).all()
    by_count = mapped(spec, BinSparX(static=True))
    assert (layer.inverted != by_count.inverted).any()


def test_rows_that_count_alike_are_counted():
    """Terminals alone: every pair of rows shares the same resistance."""
    spec = TileSpec(wires=Wires(r_driver=100.0, r_sink=100.0, r_bl=0.0, r_sl=0.0))
    layer, by_count = (mapped(spec, BinSparX(static=True, flip_rule=rule)) for rule in ("position", "count"))
    assert (layer.inverted == by_count.inverted).all()


def test_wires_given_by_layer_weigh_as_those_given_in_ohm():
    by_layer = TileSpec(wires=Wires(layer="M2", pitch_nm=108))
    segment = by_layer.wires.segment("r_bl")
    in_ohm = TileSpec(wires=Wires(r_bl=segment, r_sl=segment))
    np.testing.assert_array_equal(shared_resistance(by_layer), shared_resistance(in_ohm))
