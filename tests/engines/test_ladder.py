"""Laws of a column of passive cells, held by the exact engine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import cell_currents_of
from spicekit.engines.exact import ladder
from spicekit.engines.exact.ladder import Crossbar, solve, spline_at
from spicekit.errors import BadInput, NotConverged
from spicekit.tables.table import IVTable, interpolate

ROWS = 12


def spec_of(ohm: float, *, sense_end: str = "far", terminal: float = 100.0) -> TileSpec:
    wires = Wires(r_bl=ohm, r_sl=ohm, r_driver=terminal, r_sink=terminal)
    return TileSpec(rows=ROWS, rows_active=ROWS, columns=4, sense_end=sense_end, wires=wires)


columns = st.lists(st.integers(0, 1), min_size=ROWS, max_size=ROWS).map(lambda bits: np.array([bits], np.uint8))
ends = st.sampled_from(["far", "near"])
ohms = st.floats(0, 50)


@settings(deadline=None, max_examples=40)
@given(bits=columns, sense_end=ends)
def test_without_resistance_the_current_is_the_sum_of_the_cells(tables, bits, sense_end):
    for cell, table in tables.items():
        spec = spec_of(0.0, sense_end=sense_end, terminal=0.0).replace(cell=cell)
        weights = np.arange(ROWS, dtype=np.uint8)[:, None] % 2
        state = cell_currents_of(spec, table).state
        expected = state[weights[:, 0], bits[0]].sum()
        assert solve(Crossbar(spec, table, weights), bits).current[0, 0] == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(bits=columns, row=st.integers(0, ROWS - 1), ohm=ohms, sense_end=ends)
def test_every_added_on_cell_adds_current(sram_table, bits, row, ohm, sense_end):
    without, added = bits.copy(), bits.copy()
    without[0, row], added[0, row] = 0, 1
    column = Crossbar(spec_of(ohm, sense_end=sense_end), sram_table, np.ones((ROWS, 1), np.uint8))
    assert solve(column, added).current[0, 0] > solve(column, without).current[0, 0]


@settings(deadline=None, max_examples=60)
@given(bits=columns, ohm=ohms, sense_end=ends)
def test_resistance_only_ever_lowers_the_current(sram_table, bits, ohm, sense_end):
    stored = np.ones((ROWS, 1), np.uint8)
    resistive = solve(Crossbar(spec_of(ohm, sense_end=sense_end), sram_table, stored), bits).current
    ideal = solve(Crossbar(spec_of(0.0, sense_end=sense_end, terminal=0.0), sram_table, stored), bits).current
    assert (resistive <= ideal * (1 + 1e-9)).all()


@settings(deadline=None, max_examples=20)
@given(ohm=ohms, sense_end=ends)
def test_a_batch_gives_what_single_calls_give_bit_for_bit(sram_table, ohm, sense_end):
    rng = np.random.default_rng(0)
    column = Crossbar(spec_of(ohm, sense_end=sense_end), sram_table, rng.integers(0, 2, (ROWS, 4), dtype=np.uint8))
    bits = rng.integers(0, 2, (9, ROWS), dtype=np.uint8)
    together = solve(column, bits).current
    singly = np.concatenate([solve(column, vector[None]).current for vector in bits])
    assert (together == singly).all()


def test_swapping_columns_swaps_their_currents(sram_table):
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 2, (ROWS, 4), dtype=np.uint8)
    bits = rng.integers(0, 2, (3, ROWS), dtype=np.uint8)
    order = [2, 0, 3, 1]
    straight = solve(Crossbar(spec_of(5.0), sram_table, weights), bits).current
    swapped = solve(Crossbar(spec_of(5.0), sram_table, weights[:, order]), bits).current
    assert (swapped == straight[:, order]).all()


def test_a_far_cell_delivers_less_with_both_ends_near_the_driver(sram_table):
    one_hot = np.eye(ROWS, dtype=np.uint8)
    column = Crossbar(spec_of(50.0, sense_end="near"), sram_table, np.ones((ROWS, 1), np.uint8))
    assert (np.diff(solve(column, one_hot).current[:, 0]) < 0).all()


@pytest.mark.parametrize("sense_end", ["far", "near"])
def test_linear_cells_agree_with_a_dense_nodal_solution(sense_end):
    """Cells of 1/g ohm: the network is linear, and Kirchhoff's law a matrix that numpy inverts."""
    g = {(0, 0): 1e-7, (0, 1): 1e-6, (1, 0): 3e-7, (1, 1): 1e-4}
    volt = np.linspace(0, 0.7, 8)
    drop = volt[:, None] - volt[None, :]
    current = np.array([[g[w, a] * drop for a in (0, 1)] for w in (0, 1)])
    table = IVTable(volt, current, {"synthetic": "a formula"})
    spec = spec_of(20.0, sense_end=sense_end)
    rng = np.random.default_rng(3)
    weights = rng.integers(0, 2, (ROWS, 1), dtype=np.uint8)
    bits = rng.integers(0, 2, (1, ROWS), dtype=np.uint8)
    cells = np.array([g[w, a] for w, a in zip(weights[:, 0], bits[0], strict=True)])
    assert solve(Crossbar(spec, table, weights), bits).current[0, 0] == pytest.approx(
        dense_current(cells, spec), rel=1e-9
    )


def dense_current(cells: np.ndarray, spec: TileSpec) -> float:
    """Sense current of one column by nodal analysis; nodes 0..n-1 bit line, n..2n-1 source line."""
    n = len(cells)
    matrix, source = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)

    def connect(p: int, q: int, conductance: float) -> None:
        matrix[[p, q], [p, q]] += conductance
        matrix[[p, q], [q, p]] -= conductance

    for row in range(n):
        connect(row, n + row, cells[row])
        if row + 1 < n:
            connect(row, row + 1, 1 / spec.wires.segment("r_bl"))
            connect(n + row, n + row + 1, 1 / spec.wires.segment("r_sl"))
    matrix[0, 0] += 1 / spec.wires.r_driver
    source[0] = spec.v_read / spec.wires.r_driver
    sense = n if spec.sense_end == "near" else 2 * n - 1
    matrix[sense, sense] += 1 / spec.wires.r_sink
    return float(np.linalg.solve(matrix, source)[sense] / spec.wires.r_sink)


@pytest.mark.parametrize("state", range(4))
def test_polynomials_by_interval_are_the_spline_and_its_slopes(sram_table, state):
    table, far = sram_table, len(sram_table.voltage) - 1.0
    places = np.vstack([np.random.default_rng(state).uniform(0, far, (50, 2)), [[0, 0], [far, far], [3, 5]]])
    found = np.array([spline_at(table.patches, state, x, y) for x, y in places])

    def current(shift):
        v = np.clip(table.voltage[0] + (places + shift) * table.step, table.voltage[0], table.voltage[-1])
        return interpolate(table, np.full(len(v), state), v[:, 0], v[:, 1])

    unit, h = abs(table.current[state // 2, state % 2]).max(), 1e-4
    np.testing.assert_allclose(found[:, 0], current((0, 0)), rtol=0, atol=1e-13 * unit)
    for axis, shift in ((1, (h, 0)), (2, (0, h))):
        slope = (current(np.array(shift)) - current(-np.array(shift))) / (2 * h)
        inside = (places > h).all(axis=1) & (places < far - h).all(axis=1)
        np.testing.assert_allclose(found[inside, axis], slope[inside], rtol=0, atol=1e-7 * unit)


def test_mismatch_scales_a_cell(sram_table):
    spec = spec_of(0.0, terminal=0.0)
    stored = np.ones((ROWS, 1), np.uint8)
    scale = np.full((ROWS, 1), 0.5)
    bits = np.ones((1, ROWS), np.uint8)
    half = solve(Crossbar(spec, sram_table, stored, scale), bits).current
    np.testing.assert_allclose(half, solve(Crossbar(spec, sram_table, stored), bits).current / 2, rtol=1e-9)


def test_a_column_that_does_not_converge_is_named(sram_table, monkeypatch):
    monkeypatch.setattr(ladder, "TOLERANCE", 0.0)
    column = Crossbar(spec_of(30.0), sram_table, np.ones((ROWS, 2), np.uint8))
    with pytest.raises(NotConverged, match=r"column 0 for vector 0: Kirchhoff residual .* A"):
        solve(column, np.ones((1, ROWS), np.uint8))


def test_activations_of_another_length_are_refused(sram_table):
    column = Crossbar(spec_of(1.0), sram_table, np.ones((ROWS, 1), np.uint8))
    with pytest.raises(BadInput, match=r"bits must be \(b, 12\), got \(1, 11\)"):
        solve(column, np.ones((1, ROWS - 1), np.uint8))
