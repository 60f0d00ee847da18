"""The exact engine's loops on small tiles, against dense matrices, scipy's splines and its root finder.

No ngspice, nothing fitted: seconds without a compiler, so that scripts/mutate.py can change the loops.
"""

import dataclasses
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layer_reads import applied_of, stored_of
from scipy.interpolate import BSpline
from scipy.optimize import root

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.circuits.wiring import wiring
from spicekit.engines.converter import Converter, LayerReads, convert, set_thresholds
from spicekit.engines.exact import codes, ladder, mesh
from spicekit.engines.exact.codes import ExactCodes, first_step, start_of
from spicekit.tables.table import IVTable, interpolate, patches_of

sys.path[:0] = [str(Path(__file__).parent.parent / "golden")]

from cases import synthetic_table  # noqa: E402

RNG = np.random.default_rng(0)
ROWS, COLUMNS = 5, 4


def spec_of(drive: str = "wordline", *, end: str = "far", ohm: float = 30.0, **sizes: int) -> TileSpec:
    line = {"r_row": ohm, "r_col": 1.5 * ohm} if drive == "bitline" else {"r_bl": ohm, "r_sl": 1.5 * ohm}
    wires = Wires(r_driver=200.0, r_sink=120.0, **line)
    cell = "1t1r" if drive == "bitline" else "8t-sram"
    sizes = {"rows": ROWS, "rows_active": sizes.get("rows", ROWS), "columns": COLUMNS} | sizes
    return TileSpec(cell=cell, drive=drive, sense_end=end, wires=wires, **sizes)


def linear_table(*siemens: float) -> IVTable:
    """Cells of 1/g ohm, by state."""
    volt = np.linspace(0, 0.7, 8)
    drop = volt[:, None] - volt[None, :]
    return IVTable(volt, np.reshape([g * drop for g in siemens], (2, 2, 8, 8)), {"synthetic": "a formula"})


def branches_of(spec: TileSpec):
    """Resistors (a, b, siemens) and, for each cell, its two nodes; wires without resistance are not taken here."""
    if spec.drive == "bitline":
        wires = wiring(spec)
        cells = {at: (wires.drive[at], wires.sense[at]) for at in np.ndindex(spec.rows, spec.columns)}
        return [(r.a, r.b, 1 / r.ohm) for r in wires.resistors], cells
    found, cells, last = [], {}, spec.rows - 1
    for j in range(spec.columns):
        found.append(("in", f"b{j}.0", 1 / spec.wires.r_driver))
        sense = last if spec.sense_end == "far" else 0
        found.append((f"s{j}.{sense}", f"out_{j}", 1 / spec.wires.r_sink))
        for row in range(spec.rows):
            cells[row, j] = f"b{j}.{row}", f"s{j}.{row}"
            if row:
                for line in "bs":
                    segment = spec.wires.segment(f"r_{line}l")
                    found.append((f"{line}{j}.{row - 1}", f"{line}{j}.{row}", 1 / segment))
    return found, cells


def nodal_currents(spec: TileSpec, table: IVTable, weights, bits, scale) -> np.ndarray:
    """Column currents for one vector, by Kirchhoff's law at every node and scipy's root finder."""
    resistors, cells = branches_of(spec)
    fixed = {f"out_{j}": 0.0 for j in range(spec.columns)} | {"in": spec.v_read}
    fixed |= {f"in_{row}": spec.v_read * bit for row, bit in enumerate(bits.tolist())}
    used = {node for branch in resistors for node in branch[:2]}.union(*cells.values())
    free = sorted(used - set(fixed))
    index = {node: number for number, node in enumerate([*free, *fixed])}
    a, b, g = (np.array(column) for column in zip(*resistors, strict=True))
    a, b = (np.array([index[node] for node in ends]) for ends in (a, b))
    at = list(cells)
    p, q = (np.array([index[cells[place][k]] for place in at]) for k in (0, 1))
    asserted = [1 if spec.drive == "bitline" else bits[row] for row, _ in at]
    state = np.array([2 * weights[place] + on for place, on in zip(at, asserted, strict=True)])
    factor = np.array([scale[place] for place in at])

    def into(voltage):
        """A, into each node."""
        everywhere = np.concatenate([voltage, list(fixed.values())])
        leaving = np.zeros(len(index))
        for first, second, current in (
            (a, b, g * (everywhere[a] - everywhere[b])),
            (p, q, factor * cell_currents(spec, table, state, everywhere[p], everywhere[q])),
        ):
            np.add.at(leaving, first, current)
            np.add.at(leaving, second, -current)
        return -leaving

    start = np.where([node.startswith(("b", "row", "r")) for node in free], 0.8 * spec.v_read, 0.01)
    found = root(lambda v: 1e6 * into(v)[: len(free)], start, tol=1e-12)
    kirchhoff = into(found.x)
    assert abs(kirchhoff[: len(free)]).max() < 1e-11
    return np.array([kirchhoff[index[f"out_{j}"]] for j in range(spec.columns)])


def cell_currents(spec, table, state, v_bl, v_sl):
    """By the table's splines, as each drive takes them."""
    v_bl, v_sl = (np.clip(v, 0, table.voltage[-1]) for v in (v_bl, v_sl))
    if spec.drive == "wordline":
        return interpolate(table, state, v_bl, v_sl)
    halves = table.conductance[state + 4 * (v_sl > v_bl)]
    return surface(halves, v_bl / table.step, v_sl / table.step) * (v_bl - v_sl)


@cache
def basis(count: int) -> BSpline:
    """All cubic B-splines of unit steps that patches of so many coefficients a side are made of."""
    return BSpline(np.arange(-3.0, count + 1.0), np.eye(count), 3)


def surface(patches, x, y, dx=0, dy=0) -> np.ndarray:
    """Bicubic B-splines (.., k, k), or their derivatives, at x and y (..), by scipy."""
    splines = basis(patches.shape[-1])
    return np.einsum("...i,...ij,...j->...", splines(x, dx), patches, splines(y, dy))


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.3, 2.7), (1.0, 1.6), (3.2, 0.9), (5.0, 4.0), (3.999, 4.5)])
def test_a_spline_has_scipys_value_and_slopes(x, y):
    patch = RNG.random((8, 8))
    found = ladder.spline_at(patches_of(patch[None]), 0, x, y)
    assert found == pytest.approx([surface(patch, x, y), surface(patch, x, y, 1), surface(patch, x, y, 0, 1)])


def linearised(states, scale, spline, axis, b, s, i):
    """c, p, q (n, 3) of cells, and their misses (n,)."""
    cells, worst = np.empty((1, 3 * len(b))), np.zeros(len(b))
    states, scale, b, s, i = (each[None] for each in (states, scale, b, s, i))
    ladder.linearise(states, scale, patches_of(spline), axis, b, s, i, cells, worst, 0)
    return cells.reshape(3, -1).T, worst


@pytest.mark.parametrize("first", [0.0, 0.1])
def test_a_linearised_cell_is_its_tangent(first):
    """Each has its miss; beyond the table it goes on as at the edge."""
    rising = 1e-5 * (3 * np.arange(9)[:, None] - 2 * np.arange(9)[None, :] + RNG.random((4, 9, 9)))
    step, states = 0.05, np.array([0, 1, 2, 3, 2])
    b = first + np.array([0.11, 0.3, 0.0, 0.2, 0.5])  # the last lies beyond 6 intervals
    s = first + np.array([0.02, 0.07, 0.01, -0.03, 0.29])
    scale, i = np.array([1.0, 0.9, 1.2, 1.0, 0.7]), 1e-5 * RNG.random(5)
    cell, worst = linearised(states, scale, rising, (first, step), b, s, i)
    x, y = (np.clip((v - first) / step, 0, 6) for v in (b, s))
    value, along, across = (scale * surface(rising[states], x, y, *to) for to in ((0, 0), (1, 0), (0, 1)))
    np.testing.assert_allclose(cell[:, 1], along / step, rtol=1e-9)
    np.testing.assert_allclose(cell[:, 2], across / step, rtol=1e-9)
    tangent = cell[:, 0] + cell[:, 1] * (first + x * step) + cell[:, 2] * (first + y * step)
    np.testing.assert_allclose(tangent, value, rtol=1e-9)
    assert worst == pytest.approx(abs(value - i), rel=1e-9)


def test_a_falling_current_is_taken_as_flat_and_no_number_as_the_worst():
    falling = -1e-5 * np.add.outer(np.arange(8.0), -np.arange(8.0)) * np.ones((4, 1, 1))
    one, at = np.ones(1), np.full(1, 0.1)
    cell, _ = linearised(np.array([1]), one, falling, (0.0, 0.05), at, at, one)
    assert cell[0, 1:].tolist() == [0, 0]
    assert ladder.larger(1.0, 2.0) == 2.0
    assert ladder.larger(2.0, 1.0) == 2.0
    assert np.isnan(ladder.larger(1.0, np.nan))
    assert ladder.larger(np.inf, 1.0) == np.inf


def test_a_linearised_cell_of_a_mesh_is_the_tangent_of_conductance_times_voltage():
    halves = 1e-5 * (5 + RNG.random((8, 9, 9)))
    step, first, states = 0.05, 0.1, np.array([0, 1, 2, 3, 1])
    x, y = first + np.array([0.21, 0.04, 0.28, 0.12, 0.2]), first + np.array([0.02, 0.17, 0.28, 0.11, 0.4])
    scale, cell = np.array([1.0, 0.9, 1.2, 1.0, 0.7]), np.empty((5, 3))
    mesh.linearise(states, scale, patches_of(halves), (first, step), x, y, cell)
    u, v = (np.clip((z - first) / step, 0, 6) for z in (x, y))

    def currents(u, v):
        return scale * (u - v) * step * surface(halves[states + 4 * (v > u)], u, v)

    small, inside = 1e-6, u != v
    for k, (du, dv) in ((1, (small, 0)), (2, (0, small))):
        slope = (currents(u + du, v + dv) - currents(u - du, v - dv)) / (2 * small * step)
        np.testing.assert_allclose(cell[inside, k], slope[inside], rtol=1e-5)
    tangent = cell[:, 0] + cell[:, 1] * (first + u * step) + cell[:, 2] * (first + v * step)
    np.testing.assert_allclose(tangent, currents(u, v), rtol=1e-9, atol=1e-18)
    assert (cell[:, 1] >= 0).all()
    assert (cell[:, 2] <= 0).all()


@pytest.mark.parametrize("drive", ["wordline", "bitline"])
@pytest.mark.parametrize("end", ["far", "near"])
def test_columns_obey_kirchhoff_at_every_node(drive, end):
    """Transistors behind heavy wires, no two cells alike; most of the read voltage is lost on the way."""
    spec = spec_of(drive, end=end, ohm=400.0 if drive == "wordline" else 100.0, rows=4, columns=3)
    table = synthetic_table(spec.cell)
    weights = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]], np.uint8)
    bits = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]], np.uint8)
    scale = RNG.uniform(0.6, 1.3, weights.shape)
    if drive == "wordline":
        solution = ladder.solve(ladder.Crossbar(spec, table, weights, scale), bits)
    else:
        solution = mesh.solve(ladder.Crossbar(spec, table, weights, scale), bits)
    expected = [nodal_currents(spec, table, weights, vector, scale) for vector in bits]
    np.testing.assert_allclose(solution.current, expected, rtol=2e-6, atol=1e-12)
    assert (solution.residual < 1e-7 * 36e-6).all()
    if drive == "bitline":
        driven = mesh.cell_currents(ladder.Crossbar(spec, table, weights, scale), bits[0])
        np.testing.assert_allclose(driven.sum(axis=0), solution.current[0], rtol=1e-9)


@pytest.mark.parametrize("end", ["far", "near"])
def test_linear_cells_take_one_step(end):
    """What is left of Kirchhoff's law is rounding: the step's matrix is the right one, not one that leads there too."""
    table = linear_table(1e-7, 1e-6, 3e-7, 1e-4)
    weights = RNG.integers(0, 2, (ROWS, COLUMNS), dtype=np.uint8)
    bits = np.array([[1, 0, 1, 1, 1], [1, 1, 1, 1, 1]], np.uint8)
    spec = spec_of(end=end, ohm=400.0)
    solution = ladder.solve(ladder.Crossbar(spec, table, weights), bits)
    assert solution.residual.max() < 1e-18
    expected = [nodal_currents(spec, table, weights, vector, np.ones(weights.shape)) for vector in bits]
    np.testing.assert_allclose(solution.current, expected, rtol=1e-8)


def stretches(count: int, end: float, segment: float) -> np.ndarray:
    """(n, n) ohm: V at node j of a line for A drawn at node k."""
    return end + segment * np.minimum.outer(np.arange(count), np.arange(count))


def test_voltages_along_lines_are_those_of_their_matrices():
    current, loads = RNG.random((3, 4)), RNG.random((3, 4))
    ohm = 0.7, 0.3
    by_row, by_column = stretches(4, *ohm), stretches(3, *ohm)
    for conductance in (np.zeros((3, 4)), loads):
        along = mesh._along_rows(current, mesh._row_pivots(conductance, ohm), ohm)
        for i, p in enumerate(conductance):
            expected = by_row @ np.linalg.solve(np.eye(4) + p[:, None] * by_row, current[i])
            np.testing.assert_allclose(along[i], expected, rtol=1e-12)
        down = mesh._along_columns(current, mesh._column_pivots(conductance, ohm), ohm)
        for j, q in enumerate(conductance.T):
            expected = by_column @ np.linalg.solve(np.eye(3) + q[:, None] * by_column, current[:, j])
            np.testing.assert_allclose(down[:, j], expected, rtol=1e-12)


def dense_mesh(p, q, row, column) -> np.ndarray:
    """1 + p Z_row + q Z_col, of cells in the order of their array."""
    (rows, columns), size = p.shape, p.size
    along = np.kron(np.eye(rows), stretches(columns, *row))
    down = np.kron(stretches(rows, *column), np.eye(columns))
    return np.eye(size) + p.reshape(-1, 1) * along + q.reshape(-1, 1) * down


def test_a_step_of_a_mesh_solves_its_linear_system():
    p, q, miss = RNG.uniform(0.2, 1, (3, 4)), RNG.uniform(0.2, 1, (3, 4)), RNG.normal(size=(3, 4))
    row, column = (0.7, 0.3), (0.4, 0.2)
    found = mesh._step(miss, p, q, row, column)
    left = dense_mesh(p, q, row, column) @ found.ravel() - miss.ravel()
    assert np.linalg.norm(left) < 2 * mesh.LINEAR_TOLERANCE * np.linalg.norm(miss)


@pytest.mark.parametrize("end", ["far", "near"])
def test_each_row_alone_gives_what_the_dense_mesh_gives(end):
    spec = spec_of("bitline", end=end, ohm=40.0, rows=3, columns=4)
    p, q = RNG.uniform(1e-6, 1e-4, (2, 3, 4))
    alone = RNG.uniform(1e-6, 1e-5, (3, 4))
    found = mesh.linear_response(spec, alone, p, q)
    (row, column), turn = mesh._lines(spec), slice(None, None, -1 if end == "far" else 1)
    for driven in range(3):
        source = np.zeros((3, 4))
        source[driven] = alone[driven]
        along = np.array([stretches(4, *row) @ each for each in source])
        matrix = dense_mesh(p[turn], q[turn], row, column)
        cells = np.linalg.solve(matrix, (source + p * along)[turn].ravel()).reshape(3, 4)
        np.testing.assert_allclose(found[driven], cells.sum(axis=0), rtol=1e-3)


# --- codes of columns that are solved no further than their codes need


def reads_of(spec: TileSpec, vectors: int = 6):
    """Weights and bits of two tiles, and both as words; the last group is in the first tile alone."""
    m, groups = spec.rows_active, spec.groups
    rng = np.random.default_rng(5)
    drawn, share = rng.random((2, spec.columns, groups, m)), rng.uniform(0.2, 0.9, (2, spec.columns, 1, 1))
    weights = (drawn < share).astype(np.uint8)
    bits = (rng.random((vectors, groups, 2, m)) < 0.6).astype(np.uint8)
    bits[-1] = bits[0]  # vectors that are alike are solved once
    turned = rng.random((groups, 2, spec.columns)) < 0.5
    inverted = (rng.random((vectors, groups, 2)) < 0.5).astype(np.uint8)
    stored = stored_of(weights.transpose(2, 0, 1, 3), turned=turned, tiles=[2] * (groups - 1) + [1])
    return weights, bits, stored, applied_of(bits, inverted=inverted)


@pytest.mark.parametrize("end", ["far", "near"])
@pytest.mark.parametrize("reference", ["unit", "linear"])
def test_codes_are_those_of_currents_solved_to_the_last_digit(end, reference):
    spec = spec_of(end=end, ohm=8.0, rows=10, rows_active=5, columns=3)
    table = synthetic_table(spec.cell)
    weights, bits, stored, applied = reads_of(spec)
    lsb = float(table.current[1, 1, 28, 0])
    count = np.arange(6)
    measured = LayerReads(lsb * 0.9 * count, count, np.ones(6))
    thresholds = set_thresholds(Converter(reference=reference), [measured], rows=5, lsb=lsb)
    sums = np.zeros((len(bits), 3))
    for group, tiles in enumerate(stored.tiles):
        for tile in range(tiles):
            applied_rows = np.zeros((len(bits), 10), np.uint8)
            applied_rows[:, 5 * group : 5 * group + 5] = bits[:, group, tile]
            held = np.ascontiguousarray(weights[tile].reshape(3, 10).T)
            current = ladder.solve(ladder.Crossbar(spec, table, held), applied_rows).current
            zero = ladder.solve(ladder.Crossbar(spec, table, np.zeros_like(held)), applied_rows).current
            found = convert(thresholds, current - zero)
            flipped = stored.inverted[group, tile] ^ applied.by_vector().inverted[:, group, tile, None].astype(bool)
            sums += np.where(flipped, -found, found)
    exact = ExactCodes(spec, table, thresholds)
    assert exact.step == thresholds.step
    assert (exact.sums(stored, applied) == sums).all()


@pytest.mark.parametrize("columns", [3, 18])
def test_one_step_of_columns_side_by_side_is_one_step_of_dense_matrices(columns):
    spec = spec_of(ohm=200.0, rows=6, rows_active=3, columns=columns)
    table = synthetic_table(spec.cell)
    group, rng = 1, np.random.default_rng(2)
    start = start_of(spec, table, group)
    weights = rng.integers(0, 2, (6, columns), dtype=np.uint8)
    bits = np.array([[0, 0, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 0]], np.uint8)
    wires = spec.wires.r_driver, spec.wires.r_sink, spec.wires.segment("r_bl"), spec.wires.segment("r_sl")
    found = codes.one_step(start, weights, bits)
    above, below = stretches(6, wires[0], wires[2]), stretches(6, wires[1], wires[3])[::-1, ::-1]
    for vector, asserted in enumerate(bits):
        rows = np.flatnonzero(asserted)
        a, d = above[np.ix_(rows, rows)], below[np.ix_(rows, rows)]
        for column in range(columns):
            held = weights[rows, column]
            c, p, q = start.cells[rows, held.sum(), :6].reshape(-1, 2, 3)[range(len(rows)), held].T.astype(float)
            # i = c + p (v - A i) + q D i
            matrix = np.eye(len(rows)) + p[:, None] * a - q[:, None] * d
            i = np.linalg.solve(matrix, c + p * spec.v_read)
            b, s = spec.v_read - a @ i, d @ i
            b0, s0 = start.cells[rows, held.sum(), 6:].T
            way = (abs(b - b0) + abs(s - s0)) ** 2
            ways, ends = [way[held == weight].sum() for weight in (0, 1)], (min(*b, *b0), max(*s, *s0))
            expected = (i.sum(), *ways, *ends)
            np.testing.assert_allclose(found[:, vector, column], expected, rtol=1e-4, atol=1e-12)
            # single precision takes no more than the bound allows for
            assert abs(found[0, vector, column] - i.sum()) <= codes.ROUNDING * spec.rows * i.sum()
            assert abs(found[3:, vector, column] - ends).max() <= codes.ROUNDED_V


def test_start_voltages_are_those_of_cells_spread_evenly():
    spec = spec_of(ohm=60.0, rows=6, rows_active=3)
    table = synthetic_table(spec.cell)
    start = start_of(spec, table, 1)
    above = stretches(6, spec.wires.r_driver, spec.wires.segment("r_bl"))
    below = stretches(6, spec.wires.r_sink, spec.wires.segment("r_sl"))[::-1, ::-1]
    for n in range(4):
        b, s = start.cells[:, n, 6:].T.astype(float)
        current = interpolate(table, np.full(6, 3), b, s) * n / 3 * (np.arange(6) >= 3)
        np.testing.assert_allclose(b, spec.v_read - above @ current, atol=1e-6)
        np.testing.assert_allclose(s, below @ current, atol=1e-6)
        for weight in (0, 1):  # and the tangents are there
            state = np.full(6, 2 * weight + 1)
            c, p, q = start.cells[:, n, 3 * weight : 3 * weight + 3].T.astype(float)
            np.testing.assert_allclose(c + p * b + q * s, interpolate(table, state, b, s), rtol=1e-6)
            slope = interpolate(table, state, b + 1e-6, s) - interpolate(table, state, b - 1e-6, s)
            np.testing.assert_allclose(p, slope / 2e-6, rtol=1e-5)
    assert start.leak == pytest.approx(35e-6 * 1e-6, rel=1e-3)


def test_the_step_is_within_its_bound_and_the_bound_is_of_use():
    spec = spec_of(ohm=8.0, rows=6, rows_active=6, columns=8)
    table = synthetic_table(spec.cell)
    rng = np.random.default_rng(3)
    weights, bits = rng.integers(0, 2, (6, 8), dtype=np.uint8), rng.integers(0, 2, (8, 6), dtype=np.uint8)
    current, bound = first_step(start_of(spec, table, 0), weights, bits)
    exact = ladder.solve(ladder.Crossbar(spec, table, weights), bits).current
    assert (abs(current - exact) <= bound).all()
    assert bound.max() < 0.05 * 35e-6
    assert bound.max() < 1000 * abs(current - exact).max()


def test_the_curvature_is_the_largest_second_derivative_and_unknown_where_currents_fall():
    table = synthetic_table("8t-sram")
    found = codes._curvature(table, 0.35)
    step, last = table.step, len(table.voltage) - 1
    for weight in (0, 1):
        patch = table.spline[2 * weight + 1]
        for i, j in ((3, 0), (12, 5), (20, 15)):
            x, y = np.meshgrid(np.linspace(i, 28, 60), np.linspace(0, j + 1, 40))
            second = [abs(surface(patch, x, y, *to)).max() for to in ((2, 0), (1, 1), (0, 2))]
            assert max(second) / step**2 <= found[weight, i, j] * (1 + 1e-9)
            assert found[weight, i, j] < 1.6 * max(second) / step**2
    assert np.isinf(found[:, int(0.35 / step) + 1 :]).all()
    assert np.isfinite(found[:, : int(0.35 / step) + 1, : last // 2 - 4]).all()
    fallen = table.current.copy()
    fallen[1, 1, 10, 0] += 2e-5
    odd = codes._curvature(dataclasses.replace(table, current=fallen), 0.35)
    assert np.isinf(odd[1, :10]).all()
    assert np.isfinite(odd[1, 16, 0])
