"""Tiles with bit-line drive: the four engines against one another, and against ngspice on the full deck."""

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.tile import Tile, column_currents, partial_sums


def spec_of(ohm: float, *, rows: int, columns: int, terminal: float = 100.0, sense_end: str = "far") -> TileSpec:
    wires = Wires(r_row=ohm, r_col=ohm, r_driver=terminal, r_sink=terminal)
    sizes = {"rows": rows, "columns": columns, "rows_active": rows}
    return TileSpec(cell="1t1r", drive="bitline", sense_end=sense_end, wires=wires, **sizes)


def reads(rows: int) -> np.ndarray:
    """All rows, one at either end, every second one, one half, a random choice."""
    row = np.arange(rows)
    chosen = np.random.default_rng(1).random(rows) < 0.5
    return np.array([row >= 0, row == 0, row == rows - 1, row % 2 == 1, row < rows // 2, chosen], np.uint8)


WEIGHTS = {
    "random": lambda at: np.random.default_rng(0).random(at[0].shape) < 0.5,
    "all-on": lambda at: at[0] >= 0,
    "all-off": lambda at: at[0] < 0,
    "one-on": lambda at: (at[0] == at[0].max()) & (at[1] == 0),
    "checkerboard": lambda at: at.sum(axis=0) % 2 == 1,
    "blocks": lambda at: (at[0] < len(at[0]) // 2) == (at[1] < 3),
}


def test_a_row_driven_alone_on_a_tall_tile_agrees_with_ngspice(tables):
    """Idle cells take all but 1 % of its current, at voltages across them that are nearly 0."""
    spec = spec_of(30.0, rows=128, columns=4)
    tile = Tile(spec, tables["1t1r"], np.ones((128, 4), np.uint8))
    bits = np.eye(128, dtype=np.uint8)[:1]
    spice, exact = (column_currents(tile, bits, engine=engine) for engine in ("spice", "exact"))
    np.testing.assert_allclose(exact, spice, rtol=5e-5)


@pytest.mark.parametrize("pattern", WEIGHTS)
@pytest.mark.parametrize(("ohm", "sense_end"), [(0.0, "far"), (3.2, "near"), (30.0, "far")])
def test_exact_agrees_with_ngspice_to_a_ten_thousandth(tables, pattern, ohm, sense_end):
    spec = spec_of(ohm, rows=24, columns=7, sense_end=sense_end)
    tile = Tile(spec, tables["1t1r"], WEIGHTS[pattern](np.indices((24, 7))).astype(np.uint8))
    bits = reads(24)
    spice, exact = (column_currents(tile, bits, engine=engine) for engine in ("spice", "exact"))
    assert (abs(exact - spice).max(axis=1) <= 1e-4 * spice.max(axis=1)).all()


def test_all_engines_agree_without_resistance(tables):
    spec = spec_of(0.0, rows=4, columns=3, terminal=0.0)
    weights = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]], np.uint8)
    tile = Tile(spec, tables["1t1r"], weights)
    spice = column_currents(tile, reads(4), engine="spice")
    for engine in ("exact", "fast", "ideal"):
        np.testing.assert_allclose(column_currents(tile, reads(4), engine=engine), spice, rtol=1e-5)


@pytest.mark.parametrize("stored", [0, 1])
def test_all_engines_agree_on_a_single_cell(tables, stored):
    tile = Tile(spec_of(0.0, rows=1, columns=1), tables["1t1r"], np.array([[stored]], np.uint8))
    bits = np.array([[0], [1]], np.uint8)
    spice, exact, fast = (column_currents(tile, bits, engine=e) for e in ("spice", "exact", "fast"))
    np.testing.assert_allclose(exact, spice, rtol=1e-5, atol=1e-15)
    np.testing.assert_allclose(fast, exact, rtol=1e-5, atol=1e-15)


def test_partial_sums_of_an_ideal_tile_are_the_counts(tables):
    rng = np.random.default_rng(2)
    weights, bits = rng.integers(0, 2, (64, 5), dtype=np.uint8), rng.integers(0, 2, (7, 64), dtype=np.uint8)
    tile = Tile(spec_of(3.2, rows=64, columns=5), tables["1t1r"], weights)
    counted = partial_sums(tile, column_currents(tile, bits, engine="ideal"), bits)
    np.testing.assert_allclose(counted, bits.astype(int) @ weights, atol=1e-9)
