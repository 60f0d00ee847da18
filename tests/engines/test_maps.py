"""Maps of a tile: the slow solver agrees with the compiled one, and losses add up."""

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import lsb
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.engines.exact.maps import losses, read_maps
from spicekit.tables.table import interpolate

WIRES = Wires(layer="M2", pitch_nm=108)


@pytest.fixture
def bits():
    rng = np.random.default_rng(3)
    return rng.integers(0, 2, (32, 6), dtype=np.uint8), rng.integers(0, 2, 32, dtype=np.uint8)


@pytest.mark.parametrize("end", ["far", "near"])
@pytest.mark.parametrize("active", [8, 32])
def test_the_cells_of_a_column_add_up_to_its_current(sram_table, bits, end, active):
    weights, vector = bits
    spec = TileSpec(rows=32, columns=6, rows_active=active, sense_end=end, wires=WIRES)
    ladder = Crossbar(spec, sram_table, weights)
    rows = np.repeat(np.eye(32 // active, dtype=np.uint8), active, axis=1)
    found = sum((read_maps(ladder, own * vector).current * own[:, None]).sum(axis=0) for own in rows)
    asserted = solve(ladder, rows * vector).current.sum(axis=0)
    idle = asserted - found  # rows that a read does not assert leak in it
    assert np.all(np.abs(idle) <= 1e-3 * asserted.max())
    if active == 32:
        assert np.allclose(found, asserted, rtol=1e-5)


def test_voltages_fall_away_from_the_driver_and_towards_the_sink(sram_table, bits):
    weights, vector = bits
    found = read_maps(Crossbar(TileSpec(rows=32, columns=6, rows_active=32, wires=WIRES), sram_table, weights), vector)
    assert np.all(np.diff(found.v_bl, axis=0) <= 0)
    assert np.all(np.diff(found.v_sl, axis=0) <= 0)
    assert found.v_bl.max() < 0.35
    assert found.v_sl.min() > 0


def test_losses_add_up_to_what_the_column_lacks(sram_table, bits):
    weights, vector = bits
    spec = TileSpec(rows=32, columns=6, rows_active=16, wires=WIRES)
    ladder = Crossbar(spec, sram_table, weights)
    reads = np.repeat(np.eye(2, dtype=np.uint8), 16, axis=1) * vector
    found = losses(ladder, reads)
    assert all(value > 0 for name, value in found.items() if name != "device")
    state = 2 * weights[None] + reads[..., None]
    half = sram_table.current.reshape(4, *sram_table.current.shape[2:])
    place = int(np.abs(sram_table.voltage - spec.v_read).argmin())
    ideal = half[state, place, 0].sum(axis=(0, 1)).mean()
    real = solve(ladder, reads).current.sum(axis=0).mean()
    assert sum(found.values()) == pytest.approx((ideal - real) / lsb(spec, sram_table), rel=1e-3)


def test_without_resistance_nothing_is_lost(sram_table, bits):
    weights, vector = bits
    wires = Wires(r_driver=0, r_sink=0, r_bl=0, r_sl=0)
    ladder = Crossbar(TileSpec(rows=32, columns=6, rows_active=32, wires=wires), sram_table, weights)
    assert np.abs(list(losses(ladder, vector[None]).values())).max() < 1e-4


@pytest.mark.parametrize("end", ["far", "near"])
def test_voltages_of_a_mesh_are_ohms_law_along_its_wires(tables, end):
    wires = Wires(r_driver=100.0, r_sink=50.0, r_row=7.0, r_col=3.0)
    spec = TileSpec(cell="1t1r", drive="bitline", rows=5, columns=4, rows_active=5, sense_end=end, wires=wires)
    rng = np.random.default_rng(1)
    tile = Crossbar(spec, tables["1t1r"], rng.integers(0, 2, (5, 4), dtype=np.uint8))
    bits = np.array([1, 0, 1, 1, 0], np.uint8)
    found = read_maps(tile, bits)
    for i, bit in enumerate(bits):  # from each row's source on
        volt, carried = spec.v_read * bit, found.current[i].sum()
        for j in range(4):
            volt -= carried * (7.0 if j else 100.0)
            carried -= found.current[i, j]
            assert found.v_bl[i, j] == pytest.approx(volt, rel=1e-9, abs=1e-12)
    order = range(5) if end == "near" else range(4, -1, -1)
    for j in range(4):  # from each column's sense point on
        volt, carried = 0.0, found.current[:, j].sum()
        for place, i in enumerate(order):
            volt += carried * (3.0 if place else 50.0)
            carried -= found.current[i, j]
            assert found.v_sl[i, j] == pytest.approx(volt, rel=1e-9, abs=1e-12)
    at_bias = interpolate(tables["1t1r"], 2 * tile.weights[0].astype(int) + 1, np.full(4, spec.v_read), np.zeros(4))
    np.testing.assert_allclose(found.ideal[0], at_bias)
    np.testing.assert_allclose(found.ideal[1], 0, atol=1e-12)
