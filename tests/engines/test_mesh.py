"""Laws of a mesh of passive cells, held by the exact engine for bit-line drive."""

import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.circuits.wiring import wiring
from spicekit.engines.exact import ladder
from spicekit.engines.exact.ladder import Crossbar, residual_limit
from spicekit.engines.exact.mesh import cell_currents, solve
from spicekit.errors import BadInput, NotConverged
from spicekit.tables.table import IVTable, interpolate

ROWS, COLUMNS = 9, 7


def spec_of(ohm: float = 3.2, *, terminal: float = 100.0, sense_end: str = "far", **changes: object) -> TileSpec:
    wires = Wires(r_row=ohm, r_col=ohm, r_driver=terminal, r_sink=terminal)
    sizes = {"rows": ROWS, "columns": COLUMNS, "rows_active": ROWS}
    return TileSpec(cell="1t1r", drive="bitline", sense_end=sense_end, wires=wires, **sizes | changes)


def bits_of(*shape: int):
    size = math.prod(shape)
    return st.lists(st.integers(0, 1), min_size=size, max_size=size).map(
        lambda bits: np.array(bits, np.uint8).reshape(shape)
    )


ends = st.sampled_from(["far", "near"])
ohms = st.one_of(st.just(0.0), st.floats(1e-6, 50))
stored, applied = bits_of(ROWS, COLUMNS), bits_of(1, ROWS)


@pytest.fixture(scope="module")
def table(tables):
    return tables["1t1r"]


@pytest.fixture(scope="module")
def linear():
    """Cells of 1/g ohm."""
    volt = np.linspace(0, 0.7, 8)
    drop = volt[:, None] - volt[None, :]
    return IVTable(volt, np.array([[1e-9 * drop, 2e-6 * drop], [2e-9 * drop, 1e-4 * drop]]), {"synthetic": "a formula"})


@settings(deadline=None, max_examples=30)
@given(weights=stored, bits=applied, sense_end=ends)
def test_without_resistance_a_column_is_the_sum_of_its_driven_cells(table, weights, bits, sense_end):
    spec = spec_of(0.0, terminal=0.0, sense_end=sense_end)
    hrs, lrs = interpolate(table, np.array([1, 3]), np.full(2, spec.v_read), np.zeros(2))
    expected = bits @ np.where(weights == 1, lrs, hrs)
    current = solve(Crossbar(spec, table, weights), bits).current
    np.testing.assert_allclose(current, expected, rtol=1e-9, atol=1e-18)


@settings(deadline=None, max_examples=60)
@given(weights=stored, bits=applied, sense_end=ends, r_row=ohms, r_col=ohms, r_driver=ohms, r_sink=ohms)
def test_linear_cells_agree_with_a_dense_nodal_solution(linear, weights, bits, sense_end, **resistances):
    """Cells of 1/g ohm: the network is linear, and Kirchhoff's law a matrix that numpy inverts."""
    spec = spec_of(sense_end=sense_end).replace(wires=Wires(**resistances))
    current = solve(Crossbar(spec, linear, weights), bits).current[0]
    np.testing.assert_allclose(current, dense_currents(spec, weights, bits[0]), rtol=1e-4, atol=1e-12)


def dense_currents(spec: TileSpec, weights: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Column currents by nodal analysis of the deck's own wiring, for cells of 2e-6 and 1e-4 S."""
    wires = wiring(spec)
    fixed = {f"in_{row}": spec.v_read * bit for row, bit in enumerate(bits.tolist())}
    fixed |= {f"out_{column}": 0.0 for column in range(spec.columns)}
    branches = [(r.a, r.b, 1 / r.ohm) for r in wires.resistors]
    branches += [(wires.drive[at], wires.sense[at], 1e-4 if weights[at] else 2e-6) for at in np.ndindex(weights.shape)]
    free = sorted({node for a, b, _ in branches for node in (a, b)} - set(fixed))
    index = {node: number for number, node in enumerate([*free, *fixed])}
    laplacian = np.zeros((len(index), len(index)))
    for a, b, g in branches:
        p, q = index[a], index[b]
        laplacian[[p, q, p, q], [p, q, q, p]] += np.array([g, g, -g, -g])
    known = np.array(list(fixed.values()))
    n = len(free)
    voltage = np.linalg.solve(laplacian[:n, :n], -laplacian[:n, n:] @ known)
    into = laplacian @ np.concatenate([voltage, known])
    return np.array([-into[index[f"out_{column}"]] for column in range(spec.columns)])


@settings(deadline=None, max_examples=30)
@given(weights=stored, bits=applied, part=applied, ohm=ohms)
def test_currents_of_linear_cells_add_up_over_rows(linear, weights, bits, part, ohm):
    tile = Crossbar(spec_of(ohm), linear, weights)
    together, first, rest = solve(tile, np.concatenate([bits, bits & part, bits & (1 - part)])).current
    np.testing.assert_allclose(first + rest, together, rtol=1e-4, atol=1e-11)


@settings(deadline=None, max_examples=30)
@given(weights=stored, bits=applied, ohm=ohms, sense_end=ends)
def test_resistance_only_ever_lowers_the_sum_of_the_columns(table, weights, bits, ohm, sense_end):
    resistive = solve(Crossbar(spec_of(ohm, sense_end=sense_end), table, weights), bits).current
    ideal = solve(Crossbar(spec_of(0.0, terminal=0.0), table, weights), bits).current
    assert resistive.sum() <= ideal.sum() * (1 + 1e-6)


@settings(deadline=None, max_examples=30)
@given(weights=stored, row=st.integers(0, ROWS - 1), column=st.integers(0, COLUMNS - 1), ohm=ohms)
def test_every_added_on_cell_adds_current_to_its_column(table, weights, row, column, ohm):
    without, added = weights.copy(), weights.copy()
    without[row, column], added[row, column] = 0, 1
    bits = np.ones((1, ROWS), np.uint8)
    before, after = (solve(Crossbar(spec_of(ohm), table, w), bits).current for w in (without, added))
    assert after[0, column] > before[0, column]


@settings(deadline=None, max_examples=20)
@given(weights=stored, bits=applied, ohm=ohms)
def test_upside_down_with_the_sense_points_at_the_other_end_is_the_same_tile(table, weights, bits, ohm):
    far = solve(Crossbar(spec_of(ohm, sense_end="far"), table, weights), bits).current
    near = solve(Crossbar(spec_of(ohm, sense_end="near"), table, weights[::-1]), bits[:, ::-1]).current
    assert (far == near).all()


def test_a_cell_far_along_its_row_delivers_less(table):
    spec = spec_of(50.0)
    driven = cell_currents(Crossbar(spec, table, np.ones((ROWS, COLUMNS), np.uint8)), np.eye(ROWS, dtype=np.uint8)[3])
    assert (np.diff(driven[3]) < 0).all()


def test_cell_currents_add_up_to_the_columns(table):
    rng = np.random.default_rng(0)
    weights, bits = rng.integers(0, 2, (ROWS, COLUMNS), dtype=np.uint8), np.ones(ROWS, np.uint8)
    tile = Crossbar(spec_of(), table, weights)
    columns = solve(tile, bits[None]).current[0]
    np.testing.assert_allclose(cell_currents(tile, bits).sum(axis=0), columns, rtol=1e-12)


def test_swapping_columns_swaps_their_currents_where_rows_have_no_resistance(table):
    rng = np.random.default_rng(0)
    spec = spec_of().replace(wires=Wires(r_row=0.0, r_col=5.0))
    weights = rng.integers(0, 2, (ROWS, COLUMNS), dtype=np.uint8)
    bits = rng.integers(0, 2, (3, ROWS), dtype=np.uint8)
    order = rng.permutation(COLUMNS)
    straight = solve(Crossbar(spec, table, weights), bits).current
    swapped = solve(Crossbar(spec, table, weights[:, order]), bits).current
    np.testing.assert_allclose(swapped, straight[:, order], rtol=1e-9)


def test_currents_depend_on_neither_batch_nor_threads(table):
    rng = np.random.default_rng(0)
    tile = Crossbar(spec_of(30.0), table, rng.integers(0, 2, (ROWS, COLUMNS), dtype=np.uint8))
    bits = rng.integers(0, 2, (9, ROWS), dtype=np.uint8)
    together = solve(tile, bits).current
    singly = np.concatenate([solve(tile, vector[None]).current for vector in bits])
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = solve(tile, bits).current
    finally:
        numba.set_num_threads(threads)
    assert (together == singly).all()
    assert (together == alone).all()


def test_mismatch_scales_a_cell(table):
    spec = spec_of(0.0, terminal=0.0)
    ones, bits = np.ones((ROWS, COLUMNS), np.uint8), np.ones((1, ROWS), np.uint8)
    half = solve(Crossbar(spec, table, ones, np.full((ROWS, COLUMNS), 0.5)), bits).current
    np.testing.assert_allclose(half, solve(Crossbar(spec, table, ones), bits).current / 2, rtol=1e-9)


@pytest.mark.parametrize("ohm", [0.0, 50.0])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 256), (256, 1), (256, 256)])
def test_tiles_of_all_sizes_converge(table, rows, columns, ohm):
    spec = spec_of(ohm, rows=rows, columns=columns, rows_active=rows)
    weights = np.ones((rows, columns), np.uint8)
    solution = solve(Crossbar(spec, table, weights), np.ones((1, rows), np.uint8))
    assert solution.residual.shape == (1, columns)
    assert solution.residual.max() <= residual_limit(table)


def test_a_column_that_does_not_converge_is_named(table, monkeypatch):
    monkeypatch.setattr(ladder, "TOLERANCE", 0.0)
    tile = Crossbar(spec_of(30.0), table, np.ones((ROWS, COLUMNS), np.uint8))
    with pytest.raises(NotConverged, match=r"column \d for vector 0: Kirchhoff residual .* A"):
        solve(tile, np.ones((1, ROWS), np.uint8))


def test_activations_of_another_length_are_refused(table):
    tile = Crossbar(spec_of(), table, np.ones((ROWS, COLUMNS), np.uint8))
    with pytest.raises(BadInput, match=r"bits must be \(b, 9\), got \(1, 8\)"):
        solve(tile, np.ones((1, ROWS - 1), np.uint8))


@pytest.mark.parametrize("factor", [np.nan, np.inf, -1.0])
def test_a_mismatch_that_is_no_factor_is_refused(table, factor):
    weights = np.ones((ROWS, COLUMNS), np.uint8)
    with pytest.raises(BadInput, match="finite factors"):
        Crossbar(spec_of(), table, weights, np.full((ROWS, COLUMNS), factor))


def test_weights_of_another_shape_are_refused(table):
    with pytest.raises(BadInput, match=r"must be \(9, 7\), got \(7, 9\)"):
        Crossbar(spec_of(), table, np.ones((COLUMNS, ROWS), np.uint8))
