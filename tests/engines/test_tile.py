"""The four engines against one another, and against ngspice on the full deck."""

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import lsb
from spicekit.engines.tile import (
    Tile,
    column_currents,
    compare_reads,
    expected_currents,
    partial_sums,
)
from spicekit.errors import BadInput


def spec_of(cell="8t-sram", *, rows=16, columns=8, ohm=3.2, sense_end="far", rows_active=None, terminal=100.0):
    wires = Wires(r_bl=ohm, r_sl=ohm, r_driver=terminal, r_sink=terminal)
    return TileSpec(
        cell=cell,
        rows=rows,
        columns=columns,
        rows_active=rows_active or rows,
        sense_end=sense_end,
        wires=wires,
    )


def patterns(rows, columns):
    """Stored bits with every shape in one tile, and activations that meet them."""
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 2, (rows, columns), dtype=np.uint8)
    weights[:, 0] = 1
    weights[:, 1] = 0
    weights[:, 2] = np.arange(rows) % 2
    weights[:, 3] = np.arange(rows) < rows // 2
    checker = (np.arange(rows) % 2).astype(np.uint8)
    one_hot = np.eye(rows, dtype=np.uint8)[[0, rows - 1]]
    random = rng.integers(0, 2, (2, rows), dtype=np.uint8)
    return weights, np.concatenate([np.ones((1, rows), np.uint8), checker[None], one_hot, random])


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("sense_end", ["far", "near"])
@pytest.mark.parametrize("ohm", [0.0, 3.2, 30.0])
def test_exact_agrees_with_ngspice_to_a_ten_thousandth(tables, cell, sense_end, ohm):
    spec = spec_of(cell, ohm=ohm, sense_end=sense_end, rows=32)
    weights, bits = patterns(32, 8)
    tile = Tile(spec, tables[cell], weights)
    spice = column_currents(tile, bits, engine="spice")
    exact = column_currents(tile, bits, engine="exact")
    assert abs(exact - spice).max() <= 1e-4 * spice.max()


def test_all_engines_agree_on_a_single_cell_without_wires(tables):
    spec = spec_of(rows=1, columns=1, ohm=0.0, terminal=0.0)
    for stored in (0, 1):
        tile = Tile(spec, tables["8t-sram"], np.array([[stored]], np.uint8))
        bits = np.array([[0], [1]], np.uint8)
        spice, exact, fast, ideal = (
            column_currents(tile, bits, engine=engine) for engine in ("spice", "exact", "fast", "ideal")
        )
        np.testing.assert_allclose(exact, spice, atol=1e-11)
        np.testing.assert_allclose(fast, exact, atol=1e-12)
        np.testing.assert_allclose(ideal, exact, atol=1e-12)


def test_only_the_column_of_the_one_on_cell_carries_current(sram_table):
    spec = spec_of(rows=2, columns=3)
    weights = np.array([[0, 0, 1], [0, 0, 0]], np.uint8)
    for engine in ("spice", "exact", "fast", "ideal"):
        current = column_currents(Tile(spec, sram_table, weights), np.array([[1, 1]], np.uint8), engine=engine)
        assert current[0, 2] > 1e-5
        assert (abs(current[0, :2]) < 1e-9).all()


@pytest.mark.parametrize(("rows", "rows_active"), [(16, 16), (64, 16), (64, 64)])
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
def test_fast_stays_within_a_tenth_of_an_lsb_of_exact(tables, cell, rows, rows_active):
    spec = spec_of(cell, rows=rows, rows_active=rows_active, columns=32)
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 2, (rows, 32), dtype=np.uint8)
    bits = (rng.random((40, rows)) < rng.uniform(0.1, 0.9, (40, 1))).astype(np.uint8)
    tile = Tile(spec, tables[cell], weights)
    error = column_currents(tile, bits, engine="fast") - column_currents(tile, bits, engine="exact")
    assert abs(error).max() <= 0.1 * lsb(spec, tables[cell])
    assert error.std() <= 0.01 * lsb(spec, tables[cell])


def test_partial_sums_of_an_ideal_tile_are_the_counts(tables):
    for cell, table in tables.items():
        spec = spec_of(cell, rows=64, rows_active=16, columns=5)
        rng = np.random.default_rng(2)
        weights = rng.integers(0, 2, (64, 5), dtype=np.uint8)
        bits = rng.integers(0, 2, (7, 64), dtype=np.uint8)
        tile = Tile(spec, table, weights)
        counted = partial_sums(tile, column_currents(tile, bits, engine="ideal"), bits)
        np.testing.assert_allclose(counted, bits.astype(int) @ weights, atol=1e-4)


def test_bits_of_the_wrong_shape_or_value_are_refused(sram_table):
    spec = spec_of(rows=4, columns=2)
    with pytest.raises(BadInput, match=r"weights: expected bits shaped \(4, 2\), got \(2, 4\)"):
        Tile(spec, sram_table, np.zeros((2, 4), np.uint8))
    with pytest.raises(BadInput, match="0 or 1"):
        Tile(spec, sram_table, np.full((4, 2), 2, np.uint8))
    tile = Tile(spec, sram_table, np.zeros((4, 2), np.uint8))
    with pytest.raises(BadInput, match=r"inputs: expected bits shaped \(1, 4\)"):
        column_currents(tile, np.zeros((1, 5), np.uint8), engine="exact")
    with pytest.raises(BadInput, match="expected uint8"):
        column_currents(tile, np.zeros((1, 4)), engine="exact")


def test_expected_currents_have_a_limit_and_reads_are_held_to_it(sram_table, monkeypatch):
    monkeypatch.setattr("spicekit.engines.tile.find_table", lambda spec: sram_table)
    spec = spec_of(rows_active=8)
    weights, bits = patterns(16, 8)
    together = column_currents(Tile(spec_of(), sram_table, weights), bits, engine="exact")
    found = expected_currents(spec, weights, bits[0])
    assert (found.current == together[0]).all()
    assert found.tolerance == pytest.approx(1e-4 * together[0].max())
    assert expected_currents(spec, weights, bits[0], tolerance=3e-9).tolerance == 3e-9
    wrong = together.copy()
    wrong[4, 2] -= 2e-4 * together.max()
    wrong[1, 3] += 0.5e-4 * together.max()
    off = compare_reads(spec, weights, bits, wrong)
    assert (off.off, off.vector, off.column) == (1, 4, 2)
    assert off.error == pytest.approx(2e-4 * together.max())
    assert off.limit == pytest.approx(1e-4 * together.max())
