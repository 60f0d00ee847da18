"""EXACT engine for bit-line drive: the cells join rows to columns in one mesh, solved by Newton's method.

The unknowns are the cell currents i. They set the voltages, x = v - Z_row i along the rows and y = Z_col i along the
columns, and the cells must agree: i = I(x, y). Z, what a line's currents do to the voltages along it, takes one sweep
to the line's end and one back. No division by a resistance occurs, so an ideal wire is simply r = 0. The wires are
satisfied exactly in every iteration; what Newton's method drives to zero is the difference between a cell's current
and its current in the table. Where one row is driven alone, what reaches a column's end is decided by idle cells with
next to no voltage across them, so the table is taken as `IVTable.conductance` gives it.

With cells linearised, p = dI/dx >= 0 and q = -dI/dy >= 0, a Newton step solves

    (1 + p Z_row + q Z_col) di = I(x, y) - i.

A line whose cells conduct takes two sweeps as well: they apply Z (1 + p Z)^-1, with pivots <= 1. With the rows' effect
on themselves and the columns' effect on themselves so eliminated, what is left for z = (1 + q Z_col) di is

    (1 - K) z = (1 + p Z_row)^-1 (I(x, y) - i),    K = [p Z_row (1 + p Z_row)^-1] [q Z_col (1 + q Z_col)^-1].

K is what a current does to the rows by way of the columns: its eigenvalues lie between 0 and 1, and near 0 unless both
lines are heavy. Generalised conjugate residuals (Eisenstat, Elman and Schultz, SIAM J. Numer. Anal. 20 (1983) 345)
take 2 or 3 steps for light wires and about 20 for 256 x 256 cells at 50 ohm a segment.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_tasks
from spicekit.engines.exact.ladder import (
    Crossbar,
    Solution,
    larger,
    require_converged,
    residual_limit,
    spline_at,
)
from spicekit.errors import BadInput

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]

MAX_ITERATIONS = 30
# A linear system is solved to this fraction of its right-hand side. Newton's method takes as long with 1e-2 to 1e-4;
# the fast engine's error no longer shows it.
LINEAR_TOLERANCE = 1e-4
# Directions that a system may take. A Newton step that needs more ends early; the next goes on from there.
MAX_DIRECTIONS = 40


def solve(mesh: Crossbar, bits: Bits) -> Solution:
    """Column currents of a bit-line-driven tile.

    Parameters
    ----------
    bits : (b, r) uint8 array
        Activations, 0 or 1: a row's source is at `v_read` or at 0 V.

    Raises
    ------
    BadInput
        If `bits` is not (b, r).
    NotConverged
        If a column misses the tolerance; names the first such column and its residual in A.
    """
    spec = mesh.spec
    if bits.ndim != 2 or bits.shape[1] != spec.rows:
        raise BadInput(f"solve: bits must be (b, {spec.rows}), got {bits.shape}.")
    current, residual = np.empty((2, len(bits), spec.columns))
    shared = _outward(spec, bits, axis=1), *_problem(mesh), current, residual
    run_tasks(lambda vector: _solve(vector, *shared), len(bits))
    _check(mesh, residual)
    return Solution(current, residual)


def cell_currents(mesh: Crossbar, bits: Bits) -> Array:
    """(r, c) current of every cell for one activation vector (r,), A; raises `NotConverged` as `solve` does."""
    current, miss = _cells(_outward(mesh.spec, bits), *_problem(mesh))
    _check(mesh, abs(miss).max(axis=0, keepdims=True))
    return _outward(mesh.spec, current)


def linear_response(spec: TileSpec, current: Array, p: Array, q: Array) -> Array:
    """Column currents for each row alone, in a tile of linear cells.

    Parameters
    ----------
    current : (r, c) float64 array, A
        What the driven row's cells deliver with the columns at 0 V.
    p, q : (r, c) float64 arrays, S
        By how much a cell's current rises with its row's voltage and falls with its column's.

    Returns
    -------
    (r, c) float64 array, A
        Entry (i, j): into the sense point of column j, with row i driven.
    """
    response = np.empty(current.shape)
    shared = *(_outward(spec, array) for array in (current, p, q)), *_lines(spec), response
    run_tasks(lambda driven: _respond(driven, *shared), spec.rows)
    return _outward(spec, response)


def _check(mesh: Crossbar, residual: Array) -> None:
    places = (place.ravel() for place in np.indices(residual.shape))
    require_converged(residual.ravel(), residual_limit(mesh.table), *places, iterations=MAX_ITERATIONS)


def _outward(spec: TileSpec, array: NDArray[Any], *, axis: int = 0) -> NDArray[Any]:
    """An array with its rows from the sense end on, as the kernels want them; once more turns it back."""
    return np.ascontiguousarray(np.flip(array, axis) if spec.sense_end == "far" else array)


def _problem(mesh: Crossbar) -> tuple[Any, ...]:
    """What the kernels take besides activations."""
    spec, table = mesh.spec, mesh.table
    return (
        spec.v_read,
        _outward(spec, 2 * mesh.weights + 1),  # word lines are high: a = 1
        _outward(spec, mesh.factor),
        table.conductance_patches,
        (float(table.voltage[0]), table.step),
        *_lines(spec),
        residual_limit(table),
    )


def _lines(spec: TileSpec) -> tuple[tuple[float, float], tuple[float, float]]:
    """(end, segment) resistances of rows and of columns, ohm."""
    wires = spec.wires
    return (wires.r_driver, wires.segment("r_row")), (wires.r_sink, wires.segment("r_col"))


_kernel: Any = compiled(error_model="numpy", nogil=True, fastmath={"contract", "nsz"})
_sum_kernel: Any = compiled(error_model="numpy", nogil=True, fastmath={"contract", "nsz", "reassoc"})


@_kernel
def _solve(vector, bits, v_read, states, scale, conductance, axis, row, column, limit, current, residual):  # type: ignore[no-untyped-def]
    i, miss = _cells(bits[vector], v_read, states, scale, conductance, axis, row, column, limit)
    _total(i, current[vector])
    _largest(miss, residual[vector])


@_kernel
def _respond(driven, alone, p, q, row, column, response):  # type: ignore[no-untyped-def]
    source = np.zeros(p.shape)
    source[driven] = alone[driven]
    drive = source + p * _along_rows(source, np.ones(p.shape), row)
    _total(_step(drive, p, q, row, column), response[driven])


@_kernel
def linearise(states, scale, conductance, axis, x, y, cell):  # type: ignore[no-untyped-def]
    """Set `cell` to (c, p, q) of every cell's current c + p x + q y at its voltages."""
    first, step = axis
    last = float(conductance.shape[1])
    for k in range(len(x)):
        u = min(max((x[k] - first) / step, 0.0), last)
        v = min(max((y[k] - first) / step, 0.0), last)
        g, g_u, g_v = spline_at(conductance, states[k] + (4 if v > u else 0), u, v)
        across = (u - v) * step
        p = max(scale[k] * (g + (u - v) * g_u), 0.0)
        q = min(scale[k] * ((u - v) * g_v - g), 0.0)
        cell[k, 0] = scale[k] * across * g - p * (first + u * step) - q * (first + v * step)
        cell[k, 1] = p
        cell[k, 2] = q


@_kernel
def _cells(bits, v_read, states, scale, conductance, axis, row, column, limit):  # type: ignore[no-untyped-def]
    """(r, c) cell currents, and by how much they miss the table, A."""
    shape = states.shape
    unloaded = np.ones(shape)
    i = np.zeros(shape)
    p, q, miss = np.empty(shape), np.empty(shape), np.empty(shape)
    cell = np.empty((states.size, 3))
    for iteration in range(MAX_ITERATIONS + 1):
        x = _along_rows(i, unloaded, row)
        y = _along_columns(i, unloaded, column)
        for r in range(shape[0]):
            for c in range(shape[1]):
                x[r, c] = v_read * bits[r] - x[r, c]
        linearise(states.ravel(), scale.ravel(), conductance, axis, x.ravel(), y.ravel(), cell)
        worst = 0.0
        for r in range(shape[0]):
            for c in range(shape[1]):
                k = r * shape[1] + c
                p[r, c], q[r, c] = cell[k, 1], -cell[k, 2]
                miss[r, c] = cell[k, 0] + p[r, c] * x[r, c] - q[r, c] * y[r, c] - i[r, c]
                worst = larger(worst, abs(miss[r, c]))
        if worst <= limit or iteration == MAX_ITERATIONS:
            break
        _add(i, 1.0, _step(miss, p, q, row, column))
    return i, miss


@_kernel
def _step(miss, p, q, row, column):  # type: ignore[no-untyped-def]
    """di of (1 + p Z_row + q Z_col) di = miss."""
    row_pivots = _row_pivots(p, row)
    column_pivots = _column_pivots(q, column)
    z = np.zeros(miss.shape)
    r = _less(miss, p, _along_rows(miss, row_pivots, row))
    goal = LINEAR_TOLERANCE**2 * _dot(r, r)
    directions = np.empty((MAX_DIRECTIONS, miss.shape[0], miss.shape[1]))
    images = np.empty((MAX_DIRECTIONS, miss.shape[0], miss.shape[1]))  # of them under 1 - K; orthonormal
    for n in range(MAX_DIRECTIONS):
        direction, image = directions[n], images[n]
        back = q * _along_columns(r, column_pivots, column)
        direction[:] = r
        image[:] = _less(r, p, _along_rows(back, row_pivots, row))
        for m in range(n):
            overlap = _dot(image, images[m])
            _add(direction, -overlap, directions[m])
            _add(image, -overlap, images[m])
        length = np.sqrt(_dot(image, image))
        direction *= 1 / length
        image *= 1 / length
        share = _dot(r, image)
        _add(z, share, direction)
        _add(r, -share, image)
        if _dot(r, r) <= goal:
            break
    return _less(z, q, _along_columns(z, column_pivots, column))


@_kernel
def _less(current, conductance, voltage):  # type: ignore[no-untyped-def]
    left = np.empty(current.shape)
    for k in range(current.shape[0]):
        for m in range(current.shape[1]):
            left[k, m] = current[k, m] - conductance[k, m] * voltage[k, m]
    return left


@_sum_kernel
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(a.shape[0]):
        for m in range(a.shape[1]):
            total += a[k, m] * b[k, m]
    return total


@_kernel
def _add(a, factor, b):  # type: ignore[no-untyped-def]
    for k in range(a.shape[0]):
        for m in range(a.shape[1]):
            a[k, m] += factor * b[k, m]


@_kernel
def _total(i, current):  # type: ignore[no-untyped-def]
    """Column currents of cell currents."""
    current[:] = 0.0
    for r in range(i.shape[0]):
        for c in range(i.shape[1]):
            current[c] += i[r, c]


@_kernel
def _largest(miss, residual):  # type: ignore[no-untyped-def]
    residual[:] = 0.0
    for r in range(miss.shape[0]):
        for c in range(miss.shape[1]):
            residual[c] = larger(residual[c], abs(miss[r, c]))


@_kernel
def _row_pivots(p, ohm):  # type: ignore[no-untyped-def]
    """1 / (1 + r g) of every segment, g the conductance of what hangs behind it."""
    pivots = np.empty(p.shape)
    for i in range(p.shape[0]):
        g = 0.0
        for j in range(p.shape[1] - 1, -1, -1):
            g += p[i, j]
            pivots[i, j] = 1 / (1 + g * (ohm[1] if j else ohm[0]))
            g *= pivots[i, j]
    return pivots


@_kernel
def _column_pivots(q, ohm):  # type: ignore[no-untyped-def]
    pivots = np.empty(q.shape)
    g = np.zeros(q.shape[1])
    for i in range(q.shape[0] - 1, -1, -1):
        r = ohm[1] if i else ohm[0]
        for j in range(q.shape[1]):
            g[j] += q[i, j]
            pivots[i, j] = 1 / (1 + g[j] * r)
            g[j] *= pivots[i, j]
    return pivots


@_kernel
def _along_rows(current, pivots, ohm):  # type: ignore[no-untyped-def]
    """Voltage between a row's source and each of its nodes, as the cells draw `current`, V.

    The pivots add what the cells' conductance takes back of it: (r, c) ones give Z_row current, those of
    `_row_pivots` Z_row (1 + p Z_row)^-1 current.
    """
    voltage = np.empty(current.shape)
    for i in range(current.shape[0]):
        behind = 0.0
        for j in range(current.shape[1] - 1, -1, -1):
            behind += current[i, j]
            voltage[i, j] = behind
            behind *= pivots[i, j]
        v = 0.0
        for j in range(current.shape[1]):
            v = pivots[i, j] * (v + (ohm[1] if j else ohm[0]) * voltage[i, j])
            voltage[i, j] = v
    return voltage


@_kernel
def _along_columns(current, pivots, ohm):  # type: ignore[no-untyped-def]
    """Likewise between the virtual ground of a column and each of its nodes."""
    voltage = np.empty(current.shape)
    end = np.zeros(current.shape[1])  # first what flows in behind a node, then the voltage before it
    for i in range(current.shape[0] - 1, -1, -1):
        for j in range(current.shape[1]):
            voltage[i, j] = current[i, j] + end[j]
            end[j] = pivots[i, j] * voltage[i, j]
    end[:] = 0.0
    for i in range(current.shape[0]):
        r = ohm[1] if i else ohm[0]
        for j in range(current.shape[1]):
            end[j] = pivots[i, j] * (end[j] + r * voltage[i, j])
            voltage[i, j] = end[j]
    return voltage
